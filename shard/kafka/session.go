package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// Options are the settings of a session. A zero field means the default.
type Options struct {
	FrameMax     int              // socket.request.max.bytes: 100 MiB
	FetchMax     int              // fetch.max.bytes: 55 MiB
	IdleMax      time.Duration    // connections.max.idle.ms: 10 min
	AutoCreate   bool             // auto.create.topics.enable
	OffsetsTopic string           // __consumer_offsets
	Defaults     core.TopicConfig // of topics that do not set a key: those of core
	Broker       []BrokerSetting  // what DescribeConfigs shows of a broker
	LogDir       string           // the absolute path that DescribeLogDirs shows
	// Disk is the size of the file system of LogDir, and what of it can be used; -1: not
	// known. It is called on the loop and may not block. nil: not known.
	Disk func() (total, usable int64)
}

// BrokerSetting is one setting of the broker that is honoured, for DescribeConfigs.
type BrokerSetting struct {
	Name, Value, Default, Doc string
	Type                      core.ConfigType
}

const (
	slotsMax    = 64        // requests of one connection under way; only Produces overlap
	keptMax     = 256 << 10 // a larger answer buffer is not kept
	partsKept   = 4096      // nor what more partitions of a request need
	stepOutMax  = 256 << 10 // of answers, after which a step starts no more requests: small ones may have large answers
	frameMax    = 100 << 20
	fetchMax    = 55 << 20
	idleMax     = 10 * time.Minute
	offsetsName = "__consumer_offsets"
)

var (
	errFrame  = errors.New("a frame has an impossible length")
	errPanic  = errors.New("a decoder failed")
	errNoAcks = errors.New("a produce with acks=0 failed")
)

// Session is one Kafka connection. It lives on the loop of its shard.
//
// Invariant: head <= tail <= head + slotsMax; the slots in [head, tail) are under way,
// and more than one of them only if all are Produces.
type Session struct {
	host session.Host
	info core.ConnInfo
	opt  Options

	head, tail uint32 // of the requests, counted
	slots      [slotsMax]slot
	blocked    bool  // a frame has been seen that may not start yet
	next       int16 // its key
	close      bool
	fault      error // why
	turn       uint64
	answered   int           // bytes of answers in this step
	active     time.Duration // when something last came in
	nearest    time.Duration // no slot under way has an earlier deadline; 0: none has one
	deadline   time.Duration // of the shard's timer; never later than what we wait for

	client, software string // as the client says
	requests         int64  // answered

	produce codec.ProduceRequest // decoded within one step
	fetch   fetch                // of the one Fetch under way
}

// slot is one request and, when it is done, its answer.
type slot struct {
	key, version int16
	correlation  int32
	done         bool
	silent       bool // no answer is due (acks=0)
	out          []byte
	sent         uint64        // the turn in which out was last handed over
	began        time.Duration // for statistics: see session.Answered
	deadline     time.Duration // when the client wants an answer, whatever it is; 0: it did not say

	pending int                           // completions that are still to come
	takers  []func(c *session.Completion) // nil: has taken its own
	finish  func(sl *slot)
	produce produceState
}

// New makes the session of a connection.
func New(h session.Host, c core.ConnInfo, opt Options) session.Session {
	if opt.FrameMax == 0 {
		opt.FrameMax = frameMax
	}
	if opt.FetchMax == 0 {
		opt.FetchMax = fetchMax
	}
	if opt.IdleMax == 0 {
		opt.IdleMax = idleMax
	}
	if opt.OffsetsTopic == "" {
		opt.OffsetsTopic = offsetsName
	}
	if opt.Defaults == (core.TopicConfig{}) {
		opt.Defaults = core.DefaultTopicConfig()
	}
	return &Session{host: h, info: c, opt: opt, active: h.Mono()}
}

// Receive cuts frames and starts their requests.
func (s *Session) Receive(in []byte, fx *session.Effects) (used, need int, err error) {
	s.turn++
	s.blocked = false
	s.active = s.host.Mono()
	s.answered = 0
	for s.fault == nil && !s.close && s.answered < stepOutMax {
		rest := in[used:]
		if len(rest) < 4 {
			break
		}
		n := int(int32(binary.BigEndian.Uint32(rest)))
		if n < 0 || n > s.opt.FrameMax {
			s.fault = errFrame
			break
		}
		if len(rest) < 4+n {
			need = 4 + n
			break
		}
		h, err := codec.ReadHeader(rest[4 : 4+n])
		if err != nil {
			s.fault = fmt.Errorf("key %d version %d: %w", h.Key, h.Version, err)
			break
		}
		if !s.mayStart(h.Key) {
			s.blocked, s.next = true, h.Key
			break
		}
		s.start(&h, fx)
		used += 4 + n
	}
	s.end(fx)
	return used, need, s.fault
}

// mayStart says whether a request may start now.
func (s *Session) mayStart(key int16) bool {
	if s.head == s.tail {
		return true
	}
	return key == codec.Produce && s.slots[(s.tail-1)%slotsMax].key == codec.Produce && s.tail-s.head < slotsMax
}

// start gives a request its slot and runs it.
func (s *Session) start(h *codec.Header, fx *session.Effects) {
	sl := &s.slots[s.tail%slotsMax]
	sl.out = s.buffer(sl)
	sl.key, sl.version, sl.correlation = h.Key, h.Version, h.Correlation
	sl.done, sl.silent, sl.deadline, sl.pending, sl.finish = false, false, 0, 0, nil
	sl.began = s.host.Mono()
	s.meet(h.ClientID)
	clear(sl.takers)
	sl.takers = sl.takers[:0]
	s.tail++
	switch h.Key {
	case codec.Produce, codec.Fetch, codec.ApiVersions: // have decoders of their own, or look themselves
	default:
		if err := codec.CheckBody(h.Key, h.Version, h.Body); err != nil {
			s.fault = err
			return
		}
	}
	s.route(sl, h, fx)
	s.flush(fx)
}

// buffer is where the answer of a slot goes. A client that sends one request after the
// other has one buffer, which goes from slot to slot.
func (s *Session) buffer(sl *slot) []byte {
	if last := &s.slots[(s.tail-1)%slotsMax]; sl.out == nil && s.head == s.tail && last.sent != s.turn {
		sl.out, last.out = last.out, nil
	} else if sl.sent == s.turn {
		return nil // its last answer leaves with this very step
	}
	return keep(sl.out, keptMax)
}

// keep empties a slice for the next use. It does not keep more than max elements'
// memory, which one large request made and few others need.
func keep[T any](s []T, max int) []T {
	if cap(s) > max {
		return nil
	}
	return s[:0]
}

// route is the one list of the APIs. It is a switch and not a table, since what is called
// through a table moves the header to the heap, once per request.
func (s *Session) route(sl *slot, h *codec.Header, fx *session.Effects) {
	switch h.Key {
	case codec.Produce:
		s.onProduce(sl, h, fx)
	case codec.Fetch:
		s.onFetch(sl, h, fx)
	case codec.ListOffsets:
		s.onListOffsets(sl, h, fx)
	case codec.Metadata:
		s.onMetadata(sl, h, fx)
	case codec.ApiVersions:
		s.onApiVersions(sl, h)
	case codec.FindCoordinator:
		s.onFindCoordinator(sl, h)
	case codec.InitProducerID:
		s.onInitProducerID(sl, h, fx)
	case codec.CreateTopics:
		s.onCreateTopics(sl, h, fx)
	case codec.DeleteTopics:
		s.onDeleteTopics(sl, h, fx)
	case codec.CreatePartitions:
		s.onCreatePartitions(sl, h, fx)
	case codec.DeleteRecords:
		s.onDeleteRecords(sl, h, fx)
	case codec.OffsetForLeaderEpoch:
		s.onOffsetForLeaderEpoch(sl, h, fx)
	case codec.DescribeConfigs:
		s.onDescribeConfigs(sl, h)
	case codec.AlterConfigs:
		s.onAlterConfigs(sl, h, fx)
	case codec.IncrementalAlterConfigs:
		s.onIncrementalAlterConfigs(sl, h, fx)
	case codec.DescribeCluster:
		s.onDescribeCluster(sl, h)
	case codec.DescribeTopicPartitions:
		s.onDescribeTopicPartitions(sl, h)
	case codec.DescribeLogDirs:
		s.onDescribeLogDirs(sl, h, fx)
	default:
		s.onGroup(sl, h, fx)
	}
}

// Complete takes an answer.
func (s *Session) Complete(c *session.Completion, fx *session.Effects) {
	s.turn++
	n := c.Ticket.Slot
	// Of a request that has been answered: a wait that was cancelled, or its time was up.
	if n-s.head >= s.tail-s.head || s.slots[n%slotsMax].done {
		for i := range c.Extents {
			c.Extents[i].Release()
		}
		s.end(fx)
		return
	}
	sl := &s.slots[n%slotsMax]
	switch sl.key {
	case codec.Produce:
		s.appended(sl, c)
	case codec.Fetch:
		s.fetchGoesOn(sl)
		s.fetched(sl, c, fx)
	default:
		s.take(sl, int(c.Ticket.Part), c)
	}
	s.flush(fx)
	s.end(fx)
}

// expect makes the ticket of one more thing to wait for.
func (s *Session) expect(sl *slot, take func(c *session.Completion)) session.Ticket {
	sl.takers = append(sl.takers, take)
	sl.pending++
	return s.ticket(sl, len(sl.takers)-1)
}

func (s *Session) ticket(sl *slot, part int) session.Ticket {
	at := s.tail - 1 // tickets are made when a request starts, or by the one Fetch under way
	return session.Ticket{Conn: s.info.ID, Shard: s.host.Shard(), Slot: at, Part: uint32(part)}
}

// whenDone runs finish as soon as nothing more is expected.
func (s *Session) whenDone(sl *slot, finish func(sl *slot)) {
	sl.finish = finish
	if sl.pending == 0 {
		finish(sl)
	}
}

func (s *Session) take(sl *slot, part int, c *session.Completion) {
	take := sl.takers[part]
	sl.takers[part] = nil
	take(c)
	if sl.pending--; sl.pending == 0 {
		sl.finish(sl)
	}
}

// within gives a request the time that its client set: what has not been answered by then
// is REQUEST_TIMED_OUT, and still happens. No time at all means not to wait, as in Kafka.
func (s *Session) within(sl *slot, ms int32) {
	sl.deadline = s.host.Mono() + time.Duration(max(ms, 0))*time.Millisecond
	if s.nearest == 0 || sl.deadline < s.nearest {
		s.nearest = sl.deadline
	}
}

// timeUp answers what should have been answered by now.
func (s *Session) timeUp(now time.Duration, fx *session.Effects) {
	late := session.Completion{Outcome: core.Refused, Code: core.ErrTimeout}
	for n := s.head; n != s.tail; n++ {
		sl := &s.slots[n%slotsMax]
		switch {
		case sl.done || sl.deadline == 0:
		case now < sl.deadline:
			if s.nearest == 0 || sl.deadline < s.nearest {
				s.nearest = sl.deadline
			}
		case sl.key == codec.Produce:
			s.produceTimeUp(sl)
		default:
			for i := range sl.takers {
				if sl.takers[i] != nil {
					s.take(sl, i, &late)
				}
			}
		}
	}
	if s.fetch.waiting() && now >= s.fetch.deadline {
		s.fetchGoesOn(&s.slots[(s.tail-1)%slotsMax])
		s.fetchTimeUp(fx)
	}
	s.flush(fx)
}

// answer encodes the response; it leaves when its turn has come.
func (s *Session) answer(sl *slot, resp kmsg.Response) {
	resp.SetVersion(sl.version)
	sl.out = codec.BeginResponse(sl.out[:0], sl.key, sl.version, sl.correlation)
	sl.out = resp.AppendTo(sl.out)
	codec.EndResponse(sl.out, 0, 0)
	sl.done = true
}

// decode reads a body that CheckBody has walked.
func (s *Session) decode(req kmsg.Request, h *codec.Header) bool {
	req.SetVersion(h.Version)
	return s.decodeWith(h, func(_ int16, b []byte) error { return req.ReadFrom(b) })
}

// decodeWith runs a decoder. What it refuses closes the connection, and so does a panic
// in it, which must not be able to stop the broker.
func (s *Session) decodeWith(h *codec.Header, read func(version int16, b []byte) error) (ok bool) {
	defer func() {
		if recover() != nil {
			s.fault, ok = fmt.Errorf("key %d version %d: %w", h.Key, h.Version, errPanic), false
		}
	}()
	if err := read(h.Version, h.Body); err != nil {
		s.fault = fmt.Errorf("key %d version %d: %w", h.Key, h.Version, err)
		return false
	}
	return true
}

// flush hands over the answers that are next in order.
func (s *Session) flush(fx *session.Effects) {
	for s.head != s.tail {
		sl := &s.slots[s.head%slotsMax]
		if !sl.done {
			return
		}
		s.head++
		s.count(sl, fx)
		sl.sent, sl.finish = s.turn, nil // it holds the answer
		switch {
		case sl.silent:
		case sl.key == codec.Fetch:
			s.sendFetch(sl, fx)
		default:
			fx.Send(sl.out)
			s.answered += len(sl.out)
		}
	}
}

// end closes a step: what holds for the connection from now on.
func (s *Session) end(fx *session.Effects) {
	core.Assert(s.tail-s.head <= slotsMax, "a connection has more requests under way than slots")
	if s.blocked && s.mayStart(s.next) {
		s.blocked = false
	}
	fx.Pause = s.blocked
	if s.close || s.fault != nil {
		fx.Close, fx.Deadline = true, -1 // one that has come would come again and again
		return
	}
	at := s.active + s.opt.IdleMax
	if s.head != s.tail {
		if s.nearest != 0 {
			at = min(at, s.nearest)
		}
		if s.fetch.waiting() {
			at = min(at, s.fetch.deadline)
		}
	}
	at = max(at, 1) // 0 would leave the deadline as it is
	// An earlier deadline that is set already is left: Tick sets the next one, and the
	// shard's timers are not touched by every request.
	if s.deadline == 0 || at < s.deadline {
		s.deadline, fx.Deadline = at, at
	}
}

// Writable does nothing: answers are bounded by what was asked for.
func (s *Session) Writable(fx *session.Effects) { s.turn++; s.end(fx) }

// Tick answers the requests whose time is up, and closes a connection that has been idle.
func (s *Session) Tick(now time.Duration, fx *session.Effects) {
	s.turn++
	s.deadline, s.nearest = 0, 0
	switch {
	case s.head != s.tail: // a request is under way: not idle
		s.active = now
		s.timeUp(now, fx)
	case now >= s.active+s.opt.IdleMax:
		s.close = true
	}
	s.end(fx)
}

// Closed releases what is held.
func (s *Session) Closed(*session.Effects) {
	s.turn++
	s.fetch.release()
	s.head = s.tail
}

// errnoOf is how an answer of the shard is told to a client.
func errnoOf(c *session.Completion) int16 {
	switch c.Outcome {
	case core.Done:
		return codec.NoError
	case core.Refused:
		return codec.Errno(c.Code)
	case core.Unknown:
		return codec.RequestTimedOut // it may have taken effect; clients try again
	}
	return codec.NotLeaderOrFollower
}
