package netio

import (
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
)

// Busy is the time in callbacks, whichever way they came, and grows with nothing else.
func TestBusyIsTheTimeInTurns(t *testing.T) {
	s := serve(t, Config{})
	const work = 30 * time.Millisecond
	spin := func() {
		for end := core.Mono() + work; core.Mono() < end; {
		}
	}
	begin, before := core.Mono(), s.stats().Busy
	s.do(spin)
	s.do(func() { s.work = spin })
	n := s.wakes.Load()
	s.l.Ring()
	await(t, "the wake", func() bool { return s.wakes.Load() > n })
	s.do(func() { s.work = nil })
	var busy time.Duration
	s.do(func() { busy = s.l.stats.Busy - before })
	if all := core.Mono() - begin; busy < 2*work || busy > all {
		t.Errorf("busy for %v of %v, with two turns of %v", busy, all, work)
	}
	const rest = 100 * time.Millisecond
	for tries := 0; tries == 0 || busy > rest/4 && tries < 20; tries++ { // a busy machine may interrupt a turn
		s.do(func() { before = s.l.stats.Busy })
		<-time.After(rest) // that nothing happens can only be seen by waiting
		s.do(func() { busy = s.l.stats.Busy - before })
	}
	if busy > rest/4 {
		t.Errorf("busy for %v of %v at rest", busy, rest)
	}
}

// Each connection counts its own bytes; together they are the loop's.
func TestConnectionsCountTheirBytes(t *testing.T) {
	s := serve(t, Config{})
	echo := frame(opEcho, 1, 2, 3)
	a, b := s.dial(), s.dial()
	for range 5 {
		if _, err := a.Write(echo); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(a, make([]byte, len(echo))); err != nil {
			t.Fatal(err)
		}
	}
	large := frame(opEcho, make([]byte, 300<<10)...)
	go func() { _, _ = b.Write(large) }() // what is not written shows in the count
	if _, err := io.ReadFull(b, make([]byte, len(large))); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{a.LocalAddr().String(): int64(5 * len(echo)), b.LocalAddr().String(): int64(len(large))}
	var got []ConnStats
	s.do(func() { got = s.l.Connections(nil) })
	if len(got) != 2 {
		t.Fatalf("%d connections", len(got))
	}
	for _, c := range got {
		if n := want[c.Remote.String()]; c.BytesIn != n || c.BytesOut != n || c.Local.String() != a.RemoteAddr().String() || c.Opened <= 0 {
			t.Errorf("%+v; want %d each way", c, n)
		}
	}
	if st := s.stats(); st.BytesIn < int64(5*len(echo)+len(large)) {
		t.Errorf("%+v", st)
	}
}

func TestNamesInJSON(t *testing.T) {
	b, err := json.Marshal(Stats{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`"[^"]+":`).FindAllString(string(b), -1) {
		if strings.ToLower(name) != name {
			t.Errorf("%s is not in snake case", name)
		}
	}
}
