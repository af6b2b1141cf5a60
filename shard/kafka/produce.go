package kafka

import (
	"github.com/penstock/penstock/codec/batch"
	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// Produce (0), versions 3 to 13, advertised from 0 (see codec.Versions). acks 0, 1 and
// -1: 1 and -1 mean the same, since the topic's durability says what an answer is worth;
// with 0 there is no answer, and an error closes the connection, so that the client asks
// for metadata again. Errors are per partition. Consecutive Produces overlap; each
// partition sees them in order. What is not durable when the request's time is up is
// REQUEST_TIMED_OUT, and stays. Transactional batches are refused.

// produceState is a Produce under way.
type produceState struct {
	acks   int16
	failed bool
	topics []producedTopic
	parts  []codec.ProduceResult // of all topics
	names  []byte
}

type producedTopic struct {
	id         core.TopicID
	name       int // end in names; the beginning is the end of the one before
	partitions int
}

// appending is the error of a partition whose append has not been answered. No answer
// carries it.
const appending int16 = -1 << 15

const refusedTransactional = "transactions are not supported yet"

func (s *Session) onProduce(sl *slot, h *codec.Header, fx *session.Effects) {
	req := &s.produce
	if !s.decodeWith(h, req.Decode) {
		return
	}
	p := &sl.produce
	*p = produceState{acks: req.Acks, topics: keep(p.topics, partsKept), parts: keep(p.parts, partsKept), names: keep(p.names, keptMax)}
	now := s.host.Wall()
	for i := range req.Topics {
		t := &req.Topics[i]
		p.names = append(p.names, t.Name...)
		p.topics = append(p.topics, producedTopic{t.ID, len(p.names), len(t.Partitions)})
		topic, refused := s.writable(t)
		for k := range t.Partitions {
			in := &t.Partitions[k]
			out := codec.ProduceResult{Index: in.Index, Base: -1, AppendTime: -1, LogStart: -1, Leader: -1}
			var why string
			out.Error = refused
			switch {
			case refused != codec.NoError:
			case req.Acks < -1 || req.Acks > 1:
				out.Error = codec.InvalidRequiredAcks
			case req.TransactionalID != nil:
				out.Error, why = codec.TransactionalIDNotAuthorized, refusedTransactional
			case in.Index < 0 || int(in.Index) >= len(topic.Partitions):
				out.Error = codec.UnknownTopicOrPartition
			default:
				out.Error, why = checkBatch(in.Records, h.Version, &topic.Config, now)
			}
			if out.Message = why; out.Error != codec.NoError {
				p.failed = true
				p.parts = append(p.parts, out)
				continue
			}
			sl.pending++
			out.Error = appending
			fx.Append = append(fx.Append, session.Append{Ticket: s.ticket(sl, len(p.parts)),
				Partition: core.PartitionID{Topic: topic.ID, Index: in.Index}, Batch: in.Records})
			p.parts = append(p.parts, out)
		}
	}
	if sl.pending == 0 {
		s.produced(sl)
	} else if req.Acks != 0 {
		s.within(sl, req.TimeoutMs)
	}
}

// checkBatch says whether the records of one partition may be appended to the topic.
func checkBatch(b []byte, version int16, c *core.TopicConfig, now int64) (int16, string) {
	_, code, why := batch.CheckProduce(b, batch.Rules{Version: version, SizeMax: int(c.MaxMessageBytes), AppendTime: c.LogAppendTime,
		Now: now, BeforeMax: c.TimestampBeforeMaxMs, AfterMax: c.TimestampAfterMaxMs})
	return codec.Errno(code), why
}

// writable finds the topic, or says why it cannot be written.
func (s *Session) writable(t *codec.ProduceTopic) (*core.Topic, int16) {
	var topic *core.Topic
	if t.Name == nil {
		if topic = s.host.Catalog().TopicByID(t.ID); topic == nil {
			return nil, codec.UnknownTopicID
		}
	} else if topic = s.host.Catalog().TopicByName(t.Name); topic == nil {
		if !validName(string(t.Name)) {
			return nil, codec.InvalidTopicException
		}
		return nil, codec.UnknownTopicOrPartition
	}
	if topic.Internal {
		return nil, codec.InvalidTopicException
	}
	return topic, codec.NoError
}

// appended takes the answer for one partition.
func (s *Session) appended(sl *slot, c *session.Completion) {
	p := &sl.produce
	out := &p.parts[c.Ticket.Part]
	if out.Error = errnoOf(c); out.Error == codec.NoError {
		out.Base, out.AppendTime, out.LogStart = c.Base, c.Timestamp, c.LogStart
	} else {
		p.failed = true
		if c.Outcome == core.Refused {
			out.Message = c.Code.String()
		}
	}
	if sl.pending--; sl.pending == 0 {
		s.produced(sl)
	}
}

// produceTimeUp answers for the partitions that have not been heard of.
func (s *Session) produceTimeUp(sl *slot) {
	p := &sl.produce
	for i := range p.parts {
		if out := &p.parts[i]; out.Error == appending {
			out.Error, out.Message = codec.RequestTimedOut, core.ErrTimeout.String()
		}
	}
	s.produced(sl)
}

// produced answers, unless the client wants none.
func (s *Session) produced(sl *slot) {
	p := &sl.produce
	sl.done = true
	if p.acks == 0 {
		sl.silent = true
		if p.failed {
			s.fault = errNoAcks
		}
		return
	}
	var nodes []codec.Node
	if p.failed && sl.version >= 10 {
		nodes = s.produceHints(p)
	}
	var e codec.ProduceEncoder
	e.Begin(codec.BeginResponse(sl.out[:0], sl.key, sl.version, sl.correlation), sl.version, len(p.topics))
	at, from := 0, 0
	for i := range p.topics {
		t := &p.topics[i]
		e.Topic(p.names[from:t.name], t.id, t.partitions)
		from = t.name
		for range t.partitions {
			e.Partition(&p.parts[at])
			at++
		}
		e.EndTopic()
	}
	sl.out = e.End(0, nodes)
	codec.EndResponse(sl.out, 0, 0)
}
