package top

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/cmd/penstock/status"
)

var begin = time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC)

var bounds = []float64{50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 1.6e-3, 3.2e-3, 6.4e-3, 12.8e-3}

// hist is a histogram that has seen n values, most of them in the bucket at and the next.
func hist(n int64, at int) status.Hist {
	h := status.Hist{Bounds: bounds, Counts: make([]int64, len(bounds)+1)}
	h.Counts[at] = n * 9 / 10
	h.Counts[at+1] = n - h.Counts[at] - n/50
	h.Counts[at+3] = n / 50
	return h
}

// broker is what a busy broker of four cores has counted t seconds after its start. The
// figures are made so that each row and column differs from its neighbours.
func broker(t int64) *sample {
	s := &sample{part: everything}
	s.shards = status.Shards{At: begin.Add(time.Duration(t) * time.Second), Uptime: float64(t), Version: "0.3.0"}
	for i := range int64(4) {
		w := 10 - 2*i // the weight of the core
		s.shards.Shards = append(s.shards.Shards, status.Shard{
			ID: int(i), At: float64(t) + float64(i)/10, Busy: float64(t*w) / 11.3,
			Requests: t * w * 1201, Produces: t * w * 800, Fetches: t * w * 401,
			BytesIn: t * w * 9_300_100, BytesOut: t * w * 18_400_300, Appended: t * w * 9_200_000, Batches: t * w * 799,
			Crossed: t * i * 31, Commits: t * 512, Pending: w * 3, Messages: w, Queued: i * 45_000, Connections: 40 + i*400, Partitions: 12 + i,
			Produce: hist(t*w*800, 3), Fetch: hist(t*w*401, 0), Sync: hist(t*512, 2+int(i)/2),
		})
	}
	for i, name := range []string{"orders", "payments", "clicks.by-country.and-by-device.hourly-aggregated.v2", "__consumer_offsets", "audit"} {
		topic := status.Topic{Name: name, ID: fmt.Sprintf("id-%d", i), Internal: i == 3, Durability: []string{"synced", "os"}[i%2]}
		for p := range int64(i + 2) {
			topic.Partitions = append(topic.Partitions, status.Partition{Index: int32(p), Shard: int(p % 4), Start: 1000, High: 1000 + t*2000*int64(i), End: 1000 + t*2000*int64(i),
				Bytes: t * 2_100_000 * int64(i), Appended: t * 2_100_000 * int64(i), At: float64(t)})
		}
		s.topics = append(s.topics, topic)
	}
	s.topics[4].Partitions[1].Bad = "the segment 0 is torn"
	for i, name := range []string{"billing", "search-indexer", "fraud", "empty"} {
		g := status.Group{Name: name, State: []string{"Stable", "PreparingRebalance", "Stable", "Empty"}[i], Members: 6 - 2*i, At: float64(t)}
		for p := range int32(3) {
			o := status.GroupOffset{Topic: []string{"orders", "payments"}[p%2], Partition: p, Offset: t * 1500 * int64(i), High: t*1500*int64(i) + int64(i)*1234*int64(p+1)}
			o.Lag = o.High - o.Offset
			g.Lag += o.Lag
			g.Offsets = append(g.Offsets, o)
		}
		s.groups = append(s.groups, g)
	}
	for i := range int64(30) {
		s.clients = append(s.clients, status.Client{Shard: int(i % 4), Remote: fmt.Sprintf("10.0.0.%d:%d", i, 40000+i*7), Local: "10.0.0.1:9092", ID: fmt.Sprintf("service-%02d", i),
			Software: []string{"apache-kafka-java 4.1.0", "librdkafka 2.12.0", ""}[i%3], Age: float64(t) * float64(i+1), At: float64(t), Requests: t * i * 17, BytesIn: t * i * 120_000, BytesOut: t * (30 - i) * 90_000})
	}
	s.clients[7].ID = "\x1b[2Jevil\u202e\n"
	return s
}

// only is a sample with the shards and one part, as the screen asks for it.
func only(s *sample, p part) *sample {
	out := &sample{part: p, shards: s.shards}
	switch p {
	case topics:
		out.topics = s.topics
	case groups:
		out.groups = s.groups
	case clients:
		out.clients = s.clients
	}
	return out
}

// fakeAdmin is an admin port; each read of the shards is a second later.
type fakeAdmin struct {
	*httptest.Server
	mu   sync.Mutex
	t    int64
	gone map[string]int // path to status
}

func newFakeAdmin(t *testing.T) *fakeAdmin {
	f := &fakeAdmin{t: 100, gone: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAdmin) addr() string { return f.Listener.Addr().String() }

func (f *fakeAdmin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if code := f.gone[r.URL.Path]; code != 0 {
		w.WriteHeader(code)
		fmt.Fprint(w, `{"status":"unavailable","reason":"starting: journal 2 of 4"}`)
		return
	}
	if r.URL.Path == status.ShardsPath {
		f.t++
	}
	s := broker(f.t)
	answer := map[string]any{status.ShardsPath: s.shards, status.TopicsPath: s.topics, status.GroupsPath: s.groups, status.ClientsPath: s.clients}[r.URL.Path]
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // the reader says what it misses
}
