package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/penstock/penstock/codec/batch"
)

// history is a workload over a broker, and what happened in it: each thing that was
// begun, and each that was acknowledged, in the order in which clients knew of it.
type history struct {
	mark    func(id int64)
	batches int // per partition

	mu   sync.Mutex
	acts []act
}

// act is one thing that was begun or acknowledged.
type act struct {
	kind      actKind
	acked     bool // else begun
	topic     string
	partition int32
	n         int64 // records so far, offset, or log start
	last      sent  // of actProduce
}

// sent is a batch of an idempotent producer.
type sent struct {
	id    int64
	epoch int16
	n     int64 // its first record
}

type actKind uint8

const (
	actCreate actKind = iota
	actDelete
	actProduce // n: the log end
	actTrim    // n: the log start
	actCommit  // topic: the group; n: the offset
)

func newHistory(mark func(int64), batches int) *history {
	return &history{mark: mark, batches: batches}
}

func (h *history) note(a act) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acts = append(h.acts, a)
	h.mark(int64(len(h.acts) - 1))
}

// do notes a beginning, does it, and notes the acknowledgement.
func (h *history) do(a act, fn func() error) error {
	h.note(a)
	if err := fn(); err != nil {
		return err
	}
	a.acked = true
	h.note(a)
	return nil
}

// The topics of the workload.
const (
	topicSynced   = "orders"
	topicOS       = "traces"
	topicInterval = "ticks"
	groupName     = "readers"
)

// run puts the workload on a broker: producers, one per partition, of topics of each
// durability; topics that come and go; a group that commits; and a log start that moves.
func (h *history) run(addr string) error {
	c, err := dialKafka(addr)
	if err != nil {
		return err
	}
	defer c.close()
	for name, kind := range map[string]string{topicSynced: "synced", topicOS: "os", topicInterval: "interval"} {
		err := h.do(act{kind: actCreate, topic: name, n: 3}, func() error {
			return c.createTopic(name, 3, map[string]string{"penstock.durability": kind, "segment.bytes": "1048576", "retention.ms": "-1"}) // the records are old
		})
		if err != nil {
			return err
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	with := func(fn func(c *client) error) {
		wg.Go(func() {
			c, err := dialKafka(addr)
			if err == nil {
				defer c.close()
				err = fn(c)
			}
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
		})
	}
	for i, name := range []string{topicSynced, topicSynced, topicSynced, topicOS, topicOS, topicOS, topicInterval} {
		with(func(c *client) error { return h.produce(c, name, int32(i%3), h.batches) })
	}
	with(h.comeAndGo)
	with(h.commit)
	with(h.trim)
	wg.Wait()
	return errors.Join(errs...)
}

// content is the value of the nth record of a partition: it can be made again.
func content(topic string, partition int32, n int64) []byte {
	b := fmt.Appendf(nil, "%s/%d/%d ", topic, partition, n)
	seed := [32]byte{byte(partition), byte(n), byte(n >> 8), byte(n >> 16)}
	copy(seed[4:], topic)
	r := rand.NewChaCha8(seed)
	size := r.Uint64() % 500
	if n%97 == 0 {
		size = 100 << 10 // straight into the segment
	}
	pad := make([]byte, size)
	_, _ = r.Read(pad)
	return append(b, pad...)
}

// batchOf makes the batch of the records from n up to end.
func batchOf(w *batch.Builder, topic string, partition int32, id int64, epoch int16, n, end int64) []byte {
	w.Reset()
	for k := n; k < end; k++ {
		w.Add(1_700_000_000_000+k, nil, content(topic, partition, k))
	}
	return w.FinishAs(id, epoch, int32(n))
}

func (h *history) produce(c *client, topic string, partition int32, batches int) error {
	id, epoch, err := c.producer()
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(uint64(partition), uint64(len(topic))))
	var w batch.Builder
	for n := int64(0); batches > 0; batches-- {
		end := n + 1 + int64(r.IntN(20))
		err := h.do(act{kind: actProduce, topic: topic, partition: partition, n: end, last: sent{id, epoch, n}}, func() error {
			base, err := c.produce(topic, partition, batchOf(&w, topic, partition, id, epoch, n, end))
			if err == nil && base != n {
				err = fmt.Errorf("%s-%d: base offset %d; want %d", topic, partition, base, n)
			}
			return err
		})
		if err != nil {
			return err
		}
		n = end
	}
	return nil
}

// comeAndGo makes topics with a record each, and deletes every second one.
func (h *history) comeAndGo(c *client) error {
	for i := range 12 {
		name := fmt.Sprintf("passing-%d", i)
		err := h.do(act{kind: actCreate, topic: name, n: 2}, func() error { return c.createTopic(name, 2, map[string]string{"retention.ms": "-1"}) })
		if err == nil {
			err = h.produce(c, name, 1, 2)
		}
		if err == nil && i%2 == 0 {
			err = h.do(act{kind: actDelete, topic: name}, func() error { return c.deleteTopic(name) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *history) commit(c *client) error {
	for n := range int64(2 * h.batches) {
		err := h.do(act{kind: actCommit, topic: groupName, n: n}, func() error { return c.commit(groupName, topicSynced, 0, n) })
		if err != nil {
			return err
		}
	}
	return nil
}

// trimBehind keeps the log start away from the end.
const trimBehind = 60

// trim moves the log start of one partition behind its producer.
func (h *history) trim(c *client) error {
	const partition = 2
	for step := int64(3); step <= 400; step += 3 {
		for h.end(topicSynced, partition) < step+trimBehind { // another goroutine produces
			if _, err := c.topics(); err != nil {
				return err
			}
		}
		err := h.do(act{kind: actTrim, topic: topicSynced, partition: partition, n: step}, func() error {
			_, err := c.deleteRecords(topicSynced, partition, step)
			for errors.Is(err, errOutOfRange) { // above the high watermark, if a broker acknowledges early
				_, err = c.deleteRecords(topicSynced, partition, step)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// end is the acknowledged log end of a partition.
func (h *history) end(topic string, partition int32) (n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.acts {
		if a.kind == actProduce && a.acked && a.topic == topic && a.partition == partition {
			n = a.n
		}
	}
	return n
}

// span is the range in which a number may lie: from what was acknowledged to what was
// begun.
type span struct{ acked, begun int64 }

func (s span) holds(n int64) bool { return s.acked <= n && n <= s.begun }

// state is what clients knew at one moment.
type state struct {
	topics map[string]*topicState
	groups map[string]*span
	lossy  bool // what is not synced may be lost: the power was cut
}

type topicState struct {
	partitions        int64
	created           bool // acknowledged
	deleting, deleted bool // begun, acknowledged
	ends, starts      map[int32]*span
	last              map[int32]act // acknowledged
}

// all is everything that has happened so far.
func (h *history) all() *state {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := make([]int, len(h.acts))
	for i := range ids {
		ids[i] = i
	}
	return h.until(ids)
}

// until folds what happened, of which ids are the places.
func (h *history) until(ids []int) *state {
	s := &state{topics: map[string]*topicState{}, groups: map[string]*span{}}
	for _, id := range ids {
		a := h.acts[id]
		t := s.topics[a.topic]
		if t == nil && a.kind == actCreate {
			t = &topicState{partitions: a.n, ends: map[int32]*span{}, starts: map[int32]*span{}, last: map[int32]act{}}
			s.topics[a.topic] = t
		}
		switch a.kind {
		case actCreate:
			t.created = a.acked
		case actDelete:
			t.deleting, t.deleted = true, a.acked
		case actProduce:
			put(t.ends, a.partition, a, 0)
			if a.acked {
				t.last[a.partition] = a
			}
		case actTrim:
			put(t.starts, a.partition, a, 0)
		case actCommit:
			put(s.groups, a.topic, a, -1)
		}
	}
	return s
}

// put takes a number that was begun or acknowledged; without any it is first.
func put[K comparable](m map[K]*span, k K, a act, first int64) {
	if m[k] == nil {
		m[k] = &span{first, first}
	}
	if a.acked {
		m[k].acked = a.n
	} else {
		m[k].begun = a.n
	}
}

// keeps says whether a topic's acknowledged records have to be there.
func (s *state) keeps(topic string) bool {
	return !s.lossy || topic != topicOS && topic != topicInterval
}

// check compares what a broker serves with what was known.
func (s *state) check(c *client, sum *tally) (wrong []error) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	have, err := c.topics()
	if err != nil {
		return []error{err}
	}
	for name, t := range s.topics {
		n, ok := have[name]
		delete(have, name)
		switch {
		case t.deleted && ok:
			say("topic %s is there, but its deletion was acknowledged", name)
		case !ok && t.created && !t.deleting:
			say("topic %s is missing, but its creation was acknowledged", name)
		case ok && int64(n) != t.partitions:
			say("topic %s has %d partitions; want %d", name, n, t.partitions)
		}
		if !ok || t.deleting {
			continue
		}
		sum.topics++
		for p := range int32(t.partitions) {
			if err := t.checkPartition(c, name, p, s.keeps(name), sum); err != nil {
				say("%w", err)
			}
		}
	}
	delete(have, offsetsTopic)
	for name := range have {
		say("topic %s is there, but nobody made it", name)
	}
	for group, want := range s.groups {
		n, err := c.committed(group, topicSynced, 0)
		if err != nil || !want.holds(n) {
			say("group %s has offset %d (%v); acknowledged was %d, begun %d", group, n, err, want.acked, want.begun)
		}
		sum.commits++
	}
	return wrong
}

// checkPartition reads a partition from end to end: nothing acknowledged is missing,
// and whatever is there was written there, once.
func (t *topicState) checkPartition(c *client, name string, p int32, keeps bool, sum *tally) error {
	end, start := span{}, span{}
	if e := t.ends[p]; e != nil {
		end = *e
	}
	if s := t.starts[p]; s != nil {
		start = *s
	}
	if !keeps {
		end.acked = 0
	}
	if a, ok := t.last[p]; ok && keeps && t.starts[p] == nil {
		if err := sendAgain(c, a); err != nil {
			return err
		}
		sum.again++
	}
	next := int64(-1)
	var bad error
	from, err := c.read(name, p, func(at int64, v []byte) {
		if next < 0 {
			next = at
		}
		if bad == nil && (at != next || !bytes.Equal(v, content(name, p, at))) {
			bad = fmt.Errorf("%s-%d: at offset %d, where %d is next, stands %.40q", name, p, at, next, v)
		}
		next++
	})
	switch {
	case err != nil:
		return err
	case bad != nil:
		return bad
	case !start.holds(from):
		return fmt.Errorf("%s-%d: the log starts at %d; acknowledged was %d, begun %d", name, p, from, start.acked, start.begun)
	case next < 0: // nothing is there
		next = from
	}
	if !end.holds(next) {
		return fmt.Errorf("%s-%d: the log ends at %d; acknowledged was %d, begun %d", name, p, next, end.acked, end.begun)
	}
	sum.records += int(end.acked)
	return nil
}

// sendAgain sends the last acknowledged batch once more, as a producer does that has not
// heard of it: it is known, and the answer is the one that was given before.
func sendAgain(c *client, a act) error {
	var w batch.Builder
	base, err := c.produce(a.topic, a.partition, batchOf(&w, a.topic, a.partition, a.last.id, a.last.epoch, a.last.n, a.n))
	if err == nil && base != a.last.n {
		err = fmt.Errorf("base offset %d", base)
	}
	if err != nil {
		return fmt.Errorf("%s-%d: batch %d to %d of producer %d sent again: %w", a.topic, a.partition, a.last.n, a.n, a.last.id, err)
	}
	return nil
}

// tally is what was found as it has to be, so that a test that proves nothing is seen.
type tally struct {
	records, topics, commits, again int
}
