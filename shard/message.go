package shard

import (
	"math/bits"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// kind is what a message asks for.
type kind uint8

const (
	kindAppend kind = iota + 1
	kindRead
	kindWait
	kindCancel // of the wait in target
	kindQuery
	kindCall
	kindChange // never leaves its shard
	kindAdopt  // take in the catalog of revision arg or later; of the change in target
)

// message is a request, and then its answer. It belongs to home, whose pool it comes
// from and returns to. Between send and answer only the owner of the partition touches
// it, except for the fields of the asker.
type message struct {
	kind kind
	home *Shard
	request
	body []byte // Append, Call: borrowed until the step returns, or in buf
	buf  []byte // of a pool; crossing bytes are copied here and only here

	c   session.Completion
	ext []core.Extent // kept between uses

	// Of the asker, whichever shard holds the message.
	svc     *service // who asked; nil: the connection conn
	conn    core.ConnID
	owner   core.ShardID // where it was sent
	asked   links        // in conn.waits
	recalls bool         // a cancel of this wait is under way: it must not be used again before that is back
	back    bool         // the answer has been delivered
	size    int          // bytes that count against the credit

	// Of whoever holds the message now.
	at       links // in exactly one list, or in none
	in       *list
	host     *service // Call: whose step it waits for
	answered bool     // by the owner; the asker clears it
}

// request holds the arguments; which count depends on the kind.
type request struct {
	ticket    session.Ticket
	partition core.PartitionID
	trusted   bool // asked by a service
	from      core.Offset
	last      core.Offset // Append: of the batch, once it has its offsets
	epoch     core.Epoch
	arg       int64
	max       int
	first     bool
	query     session.QueryKind
	api       int16
	version   int16
	target    *message
	change    *change
}

// links are the neighbours in a list.
type links struct{ next, prev *message }

// list is a queue of messages with removal from the middle. A message is in one list
// at a time.
type list struct {
	head, tail *message
	count      int
}

func (l *list) push(m *message) {
	core.Assert(m.in == nil, "a message is put into two lists")
	m.in, m.at = l, links{prev: l.tail}
	if l.tail == nil {
		l.head = m
	} else {
		l.tail.at.next = m
	}
	l.tail = m
	l.count++
}

// pushFront puts back what pop took and could not be used yet.
func (l *list) pushFront(m *message) {
	core.Assert(m.in == nil, "a message is put into two lists")
	m.in, m.at = l, links{next: l.head}
	if l.head == nil {
		l.tail = m
	} else {
		l.head.at.prev = m
	}
	l.head = m
	l.count++
}

func (l *list) remove(m *message) {
	core.Assert(m.in == l, "a message is removed from a list that it is not in")
	if m.at.prev == nil {
		l.head = m.at.next
	} else {
		m.at.prev.at.next = m.at.next
	}
	if m.at.next == nil {
		l.tail = m.at.prev
	} else {
		m.at.next.at.prev = m.at.prev
	}
	m.in, m.at = nil, links{}
	l.count--
}

// pop takes the first message, or returns nil.
func (l *list) pop() *message {
	m := l.head
	if m != nil {
		l.remove(m)
	}
	return m
}

// pool keeps messages and buffers that are not in use. Buffers come in classes of
// powers of two; those beyond bufMax are left to the garbage collector.
type pool struct {
	free    list
	classes [bufClasses][][]byte
	kept    int // bytes in classes
}

const (
	bufMin     = 1 << 12
	bufClasses = 10                         // 4 KiB to 2 MiB: the default max.message.bytes is just above 1 MiB
	bufMax     = bufMin << (bufClasses - 1) // largest kept
	keptMax    = 32 << 20                   // of one shard
	freeMax    = 1 << 14                    // messages kept
)

func class(n int) int {
	if n <= bufMin {
		return 0
	}
	return bits.Len(uint(n-1)) - bits.Len(uint(bufMin-1))
}

// buffer returns an empty buffer with room for n bytes.
func (p *pool) buffer(n int) []byte {
	if n > bufMax {
		return make([]byte, 0, n)
	}
	c := class(n)
	if k := len(p.classes[c]); k > 0 {
		b := p.classes[c][k-1]
		p.classes[c] = p.classes[c][:k-1]
		p.kept -= cap(b)
		return b
	}
	return make([]byte, 0, bufMin<<c)
}

func (p *pool) giveBack(b []byte) {
	n := cap(b)
	if n < bufMin || n > bufMax || p.kept+n > keptMax {
		return
	}
	c := class(n)
	if bufMin<<c != n {
		return // grown by append: of no class
	}
	p.kept += n
	p.classes[c] = append(p.classes[c], b[:0])
}

// message returns a clean message of this shard.
func (s *Shard) message(k kind) *message {
	s.messages++
	m := s.pool.free.pop()
	if m == nil {
		m = &message{home: s}
	}
	m.kind = k
	return m
}

// put takes back a message whose answer has been delivered or dropped.
func (s *Shard) put(m *message) {
	core.Assert(m.home == s && m.in == nil, "a message is returned to the wrong pool, or while it is in use")
	if m.recalls {
		m.back = true
		return
	}
	s.messages--
	s.pool.giveBack(m.buf)
	clear(m.ext)
	if s.pool.free.count >= freeMax {
		return
	}
	*m = message{home: s, ext: m.ext[:0]}
	s.pool.free.push(m)
}

// own copies the borrowed body into a buffer of the message.
func (s *Shard) own(m *message) {
	if m.body == nil || m.buf != nil {
		return
	}
	m.buf = append(s.pool.buffer(len(m.body)), m.body...)
	m.body = m.buf
}
