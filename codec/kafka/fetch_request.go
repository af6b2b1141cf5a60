package kafka

import "github.com/penstock/penstock/core"

// FetchRequest is a Fetch request, versions 4 to 18 (sessions from 7, topic ids from
// 13). It is decoded into again and again; what it holds aliases the body last decoded.
// Fields that the version lacks have Kafka's default.
type FetchRequest struct {
	Version        int16
	ClusterID      []byte // nil is null; tag 0
	ReplicaID      int32  // -1 is a consumer; from version 15 on out of tag 1
	MaxWaitMs      int32
	MinBytes       int32
	MaxBytes       int32
	IsolationLevel int8 // 1 is read_committed
	SessionID      int32
	SessionEpoch   int32 // -1: no session
	Topics         []FetchTopic
	Forgotten      []ForgottenTopic
	Rack           []byte

	partitions []FetchPartition // of all topics
	forgotten  []int32          // of all forgotten topics
}

// FetchTopic is one topic of a FetchRequest.
type FetchTopic struct {
	Name       []byte       // up to version 12
	ID         core.TopicID // from version 13
	Partitions []FetchPartition
}

// FetchPartition is one partition of a FetchTopic.
type FetchPartition struct {
	Index            int32
	LeaderEpoch      core.Epoch // -1: do not check
	Offset           core.Offset
	LastFetchedEpoch core.Epoch
	LogStart         core.Offset
	MaxBytes         int32
}

// ForgottenTopic says which partitions leave a fetch session.
type ForgottenTopic struct {
	Name       []byte
	ID         core.TopicID
	Partitions []int32
}

// Decode reads a body. It allocates only to grow, and not more than the body can hold.
// Bytes behind the last field are ignored, as Kafka does. On an error the request is
// not to be used.
func (q *FetchRequest) Decode(version int16, body []byte) error {
	r := reader{b: body}
	*q = FetchRequest{Version: version, ReplicaID: -1, SessionEpoch: -1, Topics: recycle(q.Topics), Forgotten: recycle(q.Forgotten),
		partitions: recycle(q.partitions), forgotten: recycle(q.forgotten)}
	if version <= 14 {
		q.ReplicaID = r.int32()
	}
	q.MaxWaitMs, q.MinBytes, q.MaxBytes = r.int32(), r.int32(), r.int32()
	q.IsolationLevel = r.int8()
	if version >= 7 {
		q.SessionID, q.SessionEpoch = r.int32(), r.int32()
	}
	q.topics(&r)
	if version >= 7 {
		q.forget(&r)
	}
	if version >= 11 {
		q.Rack = r.string(version >= 12, false)
	}
	if version >= 12 {
		q.tags(&r)
	}
	if r.bad {
		return &BodyError{Key: Fetch, Version: version, Pos: len(body), Field: "Fetch"}
	}
	q.settle()
	return nil
}

func (q *FetchRequest) topics(r *reader) {
	flexible, ids := q.Version >= 12, q.Version >= 13
	topicMin, partitionMin := 2+4, 4+8+4
	if flexible {
		topicMin, partitionMin = 1+1+1, 4+4+8+4+8+4+1
	}
	for n := r.count(flexible, topicMin); n > 0 && !r.bad; n-- {
		var t FetchTopic
		if ids {
			t.ID = r.topicID()
		} else {
			t.Name = r.string(flexible, false)
		}
		first := len(q.partitions)
		for m := r.count(flexible, partitionMin); m > 0 && !r.bad; m-- {
			q.partitions = append(q.partitions, fetchPartition(r, q.Version))
		}
		if flexible {
			r.skipTags()
		}
		t.Partitions = q.partitions[first:] // settle makes it right
		q.Topics = append(q.Topics, t)
	}
}

func fetchPartition(r *reader, version int16) FetchPartition {
	p := FetchPartition{Index: r.int32(), LeaderEpoch: -1, LastFetchedEpoch: -1, LogStart: -1}
	if version >= 9 {
		p.LeaderEpoch = core.Epoch(r.int32())
	}
	p.Offset = core.Offset(r.int64())
	if version >= 12 {
		p.LastFetchedEpoch = core.Epoch(r.int32())
	}
	if version >= 5 {
		p.LogStart = core.Offset(r.int64())
	}
	p.MaxBytes = r.int32()
	if version >= 12 {
		// Tags 0 and 1 are what followers say, of which there are none.
		for n := r.uvarint(); n > 0 && !r.bad; n-- {
			tag, end := r.tag()
			switch tag {
			case 0:
				r.skip(16)
			case 1:
				r.skip(8)
			}
			r.skipTo(end)
		}
	}
	return p
}

func (q *FetchRequest) forget(r *reader) {
	flexible, ids := q.Version >= 12, q.Version >= 13
	topicMin := 2 + 4
	if flexible {
		topicMin = 1 + 1 + 1
	}
	for n := r.count(flexible, topicMin); n > 0 && !r.bad; n-- {
		var t ForgottenTopic
		if ids {
			t.ID = r.topicID()
		} else {
			t.Name = r.string(flexible, false)
		}
		first := len(q.forgotten)
		for m := r.count(flexible, 4); m > 0 && !r.bad; m-- {
			q.forgotten = append(q.forgotten, r.int32())
		}
		if flexible {
			r.skipTags()
		}
		t.Partitions = q.forgotten[first:] // settle makes it right
		q.Forgotten = append(q.Forgotten, t)
	}
}

// tags reads the cluster id and, from version 15 on, the replica (KIP-903).
func (q *FetchRequest) tags(r *reader) {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		tag, end := r.tag()
		switch tag {
		case 0:
			q.ClusterID = r.string(true, true)
		case 1:
			id := r.int32()
			r.int64() // the replica's epoch
			r.skipTags()
			if q.Version >= 15 {
				q.ReplicaID = id
			}
		}
		r.skipTo(end)
	}
}

// settle points the topics at their partitions, now that the arrays no longer move.
func (q *FetchRequest) settle() {
	first := 0
	for i := range q.Topics {
		end := first + len(q.Topics[i].Partitions)
		q.Topics[i].Partitions = q.partitions[first:end:end]
		first = end
	}
	first = 0
	for i := range q.Forgotten {
		end := first + len(q.Forgotten[i].Partitions)
		q.Forgotten[i].Partitions = q.forgotten[first:end:end]
		first = end
	}
}
