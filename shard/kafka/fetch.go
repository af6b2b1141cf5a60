package kafka

import (
	"time"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// Fetch (1), versions 4 to 18. Long poll with min_bytes and max_wait; topic ids from 13;
// leader epochs are checked. There are no fetch sessions: session id 0 is the answer,
// which KIP-227 allows, and every answer is full. read_committed is read_uncommitted,
// since there are no transactions. The first batch of the first partition that has any
// is sent whole, whatever the limits say; where the limit falls rotates. No more is read
// than max_bytes allows to send, so that what a Fetch pins is bounded too.
//
//	start --Read per partition--> reading --enough, an error, or no time--> answer
//	                               ^ ^ |
//	        room is left for those | | v short
//	           that were passed over waiting --the deadline--> answer
//	                                 one has grown: read it again

// readsMax bounds the partitions of which one Fetch holds bytes that it may not send.
const readsMax = 1024

// fetch is the Fetch under way; a connection has at most one.
type fetch struct {
	request  codec.FetchRequest
	topics   []fetchedTopic
	parts    []fetchedPart // of all topics
	names    []byte
	cuts     []int // in the slot's out: where the records of each part go
	refused  int16 // of the whole request
	reads    int   // that are out
	waits    int   // that are out
	minBytes int
	maxBytes int
	taken    int // bytes held, and those that the reads that are out may bring
	held     int // bytes held, as of the last trim
	deadline time.Duration
	over     bool // the time is up
	rotate   int
}

type fetchedTopic struct {
	id         core.TopicID
	name       int // end in names
	partitions int
}

// fetchedPart is one partition of the request.
type fetchedPart struct {
	id      core.PartitionID
	from    core.Offset
	epoch   core.Epoch
	max     int
	result  codec.FetchResult
	asked   int // bytes; 0: only for the positions
	extents []core.Extent
	bytes   int
	waits   bool
}

func (f *fetch) waiting() bool { return f.waits > 0 && f.reads == 0 }

func (f *fetch) release() {
	for i := range f.parts {
		f.parts[i].release()
	}
}

func (p *fetchedPart) release() {
	for i := range p.extents {
		p.extents[i].Release()
	}
	clear(p.extents)
	p.extents, p.bytes = p.extents[:0], 0
}

func (s *Session) onFetch(sl *slot, h *codec.Header, fx *session.Effects) {
	f := &s.fetch
	req := &f.request
	if !s.decodeWith(h, req.Decode) {
		return
	}
	core.Assert(f.reads == 0 && f.waits == 0, "a connection has two fetches under way")
	f.topics, f.names, f.refused, f.over = keep(f.topics, partsKept), keep(f.names, keptMax), 0, false
	f.parts, f.cuts, f.taken, f.held = keep(f.parts, partsKept), keep(f.cuts, partsKept), 0, 0
	f.minBytes = int(req.MinBytes)
	f.maxBytes = min(max(int(req.MaxBytes), 0), s.opt.FetchMax)
	f.deadline = s.host.Mono() + time.Duration(req.MaxWaitMs)*time.Millisecond
	if req.MaxWaitMs <= 0 {
		f.over = true
	}
	if req.SessionEpoch != 0 && req.SessionEpoch != -1 { // those end the session named, if any; others go on with it
		f.refused = codec.FetchSessionIDNotFound
		s.answerFetch(sl)
		return
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		f.names = append(f.names, t.Name...)
		f.topics = append(f.topics, fetchedTopic{t.ID, len(f.names), len(t.Partitions)})
		topic, missing := s.host.Catalog().TopicByID(t.ID), codec.UnknownTopicID
		if t.Name != nil {
			topic, missing = s.host.Catalog().TopicByName(t.Name), codec.UnknownTopicOrPartition
		}
		for k := range t.Partitions {
			s.beginPart(topic, missing, &t.Partitions[k])
		}
	}
	f.rotate++
	for i := range f.parts {
		if n := (f.rotate + i) % len(f.parts); f.parts[n].result.Error == codec.NoError {
			s.readPart(sl, n, fx)
		}
	}
	s.settleFetch(sl, fx)
}

// beginPart adds one partition.
func (s *Session) beginPart(topic *core.Topic, missing int16, in *codec.FetchPartition) {
	f := &s.fetch
	n := len(f.parts)
	if n < cap(f.parts) {
		f.parts = f.parts[:n+1]
	} else {
		f.parts = append(f.parts, fetchedPart{})
	}
	p := &f.parts[n]
	*p = fetchedPart{from: in.Offset, epoch: in.LeaderEpoch, max: min(max(int(in.MaxBytes), 0), f.maxBytes), extents: p.extents[:0],
		result: failedPart(in.Index, codec.NoError)}
	if topic == nil || in.Index < 0 || int(in.Index) >= len(topic.Partitions) {
		p.result.Error = missing
		if topic != nil {
			p.result.Error = codec.UnknownTopicOrPartition
		}
		return
	}
	p.id = core.PartitionID{Topic: topic.ID, Index: in.Index}
}

func failedPart(index int32, code int16) codec.FetchResult {
	return codec.FetchResult{Index: index, Error: code, HighWatermark: -1, LastStable: -1, LogStart: -1, PreferredRead: -1, Leader: -1}
}

// room is how many bytes the answer can still take; one at least while it has none.
func (f *fetch) room() int { return max(f.maxBytes, 1) - f.taken }

// readPart asks for the bytes of a partition, as far as there is room for them.
func (s *Session) readPart(sl *slot, n int, fx *session.Effects) {
	f := &s.fetch
	p := &f.parts[n]
	p.asked = 0
	if room := f.room(); room > 0 && f.reads < readsMax {
		p.asked = max(min(p.max, room), 1)
	}
	f.taken += p.asked
	f.reads++
	fx.Read = append(fx.Read, session.Read{Ticket: s.ticket(sl, n), Partition: p.id, From: p.from, Epoch: p.epoch, Max: p.asked, First: p.asked > 0 && f.held == 0})
}

// readPassedOver reads the partitions that have bytes and for which there was no room,
// if the others have left some.
func (s *Session) readPassedOver(sl *slot, fx *session.Effects) {
	f := &s.fetch
	for i := range f.parts {
		n := (f.rotate + i) % len(f.parts)
		p := &f.parts[n]
		if p.asked == 0 && !p.waits && p.result.Error == codec.NoError && p.result.HighWatermark > p.from && f.room() > 0 && f.reads < readsMax {
			s.readPart(sl, n, fx)
		}
	}
}

// fetched takes the answer to a read, or to a wait.
func (s *Session) fetched(sl *slot, c *session.Completion, fx *session.Effects) {
	f := &s.fetch
	n := int(c.Ticket.Part)
	p := &f.parts[n]
	if p.waits { // it has grown, or is gone: the read will tell
		p.waits = false
		f.waits--
		f.taken, f.held = f.taken-p.bytes, f.held-p.bytes
		p.release()
		if c.Outcome == core.Refused && c.Code == core.ErrStopping { // a read would do, and lead to the next wait
			p.result = failedPart(p.result.Index, codec.NotLeaderOrFollower)
			s.settleFetch(sl, fx)
			return
		}
		s.readPart(sl, n, fx)
		return
	}
	f.reads--
	f.taken -= p.asked + p.bytes
	p.release()
	if code := errnoOf(c); code != codec.NoError {
		p.result = failedPart(p.result.Index, s.goneOr(p.id, code, sl.version))
	} else {
		r := &p.result
		r.Error, r.HighWatermark, r.LastStable, r.LogStart = codec.NoError, c.HighWatermark, c.LastStable, c.LogStart
		r.ReadCommitted = f.request.IsolationLevel == 1
		p.extents, p.bytes = append(p.extents, c.Extents...), c.Bytes
		f.taken += p.bytes
	}
	s.settleFetch(sl, fx)
}

// goneOr is the error of a topic that has been deleted meanwhile, else code.
func (s *Session) goneOr(id core.PartitionID, code, version int16) int16 {
	switch {
	case s.host.Catalog().TopicByID(id.Topic) != nil:
		return code
	case version >= 13:
		return codec.UnknownTopicID
	}
	return codec.UnknownTopicOrPartition
}

// settleFetch answers if there is reason to, else waits for more.
func (s *Session) settleFetch(sl *slot, fx *session.Effects) {
	f := &s.fetch
	if f.reads > 0 {
		return
	}
	f.trim()
	if s.readPassedOver(sl, fx); f.reads > 0 {
		return
	}
	failed := false
	for i := range f.parts {
		failed = failed || f.parts[i].result.Error != codec.NoError
	}
	if f.over || failed || len(f.parts) == 0 || f.held >= f.minBytes || f.held >= f.maxBytes {
		s.endWaits(sl, fx)
		s.answerFetch(sl)
		return
	}
	for i := range f.parts {
		p := &f.parts[i]
		if p.waits {
			continue
		}
		p.waits = true
		f.waits++
		fx.Wait = append(fx.Wait, session.Wait{Ticket: s.ticket(sl, i), Partition: p.id, From: max(p.from, p.result.HighWatermark)})
	}
}

// fetchTimeUp answers with what there is.
func (s *Session) fetchTimeUp(fx *session.Effects) {
	s.fetch.over = true
	s.settleFetch(&s.slots[(s.tail-1)%slotsMax], fx)
}

// endWaits takes back the waits that are out; their completions will name a slot that
// is no longer under way.
func (s *Session) endWaits(sl *slot, fx *session.Effects) {
	f := &s.fetch
	for i := range f.parts {
		if p := &f.parts[i]; p.waits {
			p.waits = false
			fx.Cancel = append(fx.Cancel, s.ticket(sl, i))
		}
	}
	f.waits = 0
}

// trim drops what exceeds max_bytes and partition_max_bytes, beginning at another
// partition each time, but never the first that has anything: its consumer could not go on.
func (f *fetch) trim() {
	n := len(f.parts)
	f.held = 0
	for i := range n {
		p := &f.parts[(f.rotate+i)%n]
		if f.held > 0 && (f.held+p.bytes > f.maxBytes || p.bytes > p.max) {
			f.taken -= p.bytes
			p.release()
		}
		f.held += p.bytes
	}
}

func (s *Session) answerFetch(sl *slot) {
	f := &s.fetch
	if f.refused != codec.NoError {
		f.topics, f.parts = f.topics[:0], f.parts[:0]
	}
	f.cuts = f.cuts[:0]
	var e codec.FetchEncoder
	e.Begin(codec.BeginResponse(sl.out[:0], sl.key, sl.version, sl.correlation), sl.version, 0, f.refused, 0, len(f.topics))
	at, from := 0, 0
	var nodes []codec.Node
	for i := range f.topics {
		t := &f.topics[i]
		e.Topic(f.names[from:t.name], t.id, t.partitions)
		from = t.name
		for range t.partitions {
			p := &f.parts[at]
			if r := &p.result; sl.version >= 16 && (r.Error == codec.NotLeaderOrFollower || r.Error == codec.FencedLeaderEpoch) {
				r.Leader, r.Epoch, nodes = s.hint(p.id, nodes)
			}
			e.Partition(&p.result, p.bytes)
			f.cuts = append(f.cuts, e.Len())
			e.EndPartition()
			at++
		}
		e.EndTopic()
	}
	sl.out = e.End(nodes)
	codec.EndResponse(sl.out, 0, f.held)
	sl.done = true
}

// sendFetch interleaves the answer with the extents, whose holds pass on.
func (s *Session) sendFetch(sl *slot, fx *session.Effects) {
	f := &s.fetch
	from := 0
	for i := range f.parts {
		p := &f.parts[i]
		if len(p.extents) == 0 {
			continue
		}
		fx.Send(sl.out[from:f.cuts[i]])
		from = f.cuts[i]
		for k := range p.extents {
			fx.SendExtent(p.extents[k])
		}
		clear(p.extents)
		p.extents = p.extents[:0]
	}
	fx.Send(sl.out[from:])
}
