package shard

import "time"

// timers is a heap of deadlines, the earliest first. A deadline lives in the connection
// or service that it wakes, so that setting one allocates nothing.
type timers struct{ heap []*deadline }

// deadline is when a connection or service wants to be woken. It belongs to exactly one.
type deadline struct {
	at   time.Duration // of Env.Mono
	pos  int           // in the heap, plus one; 0: not set
	conn *conn
	svc  *service
}

// set moves or adds d.
func (t *timers) set(d *deadline, at time.Duration) {
	d.at = at
	if d.pos == 0 {
		t.heap = append(t.heap, d)
		d.pos = len(t.heap)
	}
	t.down(t.up(d.pos - 1))
}

// clear takes d away if it is set.
func (t *timers) clear(d *deadline) {
	if d.pos == 0 {
		return
	}
	i, last := d.pos-1, len(t.heap)-1
	t.swap(i, last)
	t.heap[last] = nil
	t.heap = t.heap[:last]
	d.pos = 0
	if i < last {
		t.down(t.up(i))
	}
}

// next is the earliest deadline; ok is false if none is set.
func (t *timers) next() (at time.Duration, ok bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

// due takes away and returns one deadline that has come, or nil.
func (t *timers) due(now time.Duration) *deadline {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return nil
	}
	d := t.heap[0]
	t.clear(d)
	return d
}

func (t *timers) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.heap[i].pos, t.heap[j].pos = i+1, j+1
}

func (t *timers) up(i int) int {
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].at <= t.heap[i].at {
			break
		}
		t.swap(i, parent)
		i = parent
	}
	return i
}

func (t *timers) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.heap[child].at < t.heap[least].at {
				least = child
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}
