package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/cmd/penstock/metrics"
	"github.com/penstock/penstock/cmd/penstock/status"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/shard"
	"github.com/penstock/penstock/shard/kafka/group"
	"github.com/penstock/penstock/shard/session"
)

// How old what the admin port shows may be: a loop is asked no more often, however many
// look at it.
const (
	shardsAge    = 200 * time.Millisecond
	pictureAge   = time.Second
	lookPatience = time.Second // for a loop to answer; then what it published last is shown
	lookAtOnce   = 500         // partitions per task, so that a loop is never held for long
)

// processBegan is what the uptime counts from.
var processBegan = time.Now()

// viewer is what people and their tools look through: it asks the loops for snapshots, by
// tasks of microseconds, and keeps them for whoever asks next. Any goroutine may use it.
type viewer struct {
	r       *running
	shards  kept[status.Shards]
	picture kept[picture]
	clients kept[[]status.Client]
}

// picture is the groups, and then the partitions: so no group is ahead of its partition.
type picture struct {
	topics []status.Topic
	groups []status.Group
}

// kept is the latest of something, and when it was made.
type kept[T any] struct {
	mu sync.Mutex
	at time.Time
	v  T
}

// asked is what a loop answered, and when: core.Mono.
type asked[T any] struct {
	v  T
	at time.Duration
}

// get makes it anew if it is older than age. Others wait for it meanwhile.
func (k *kept[T]) get(age time.Duration, look func() T) T {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.at.IsZero() || time.Since(k.at) >= age {
		k.v, k.at = look(), time.Now()
	}
	return k.v
}

// on asks a loop. ok is false if it has ended or does not turn: fn may then still run,
// and nobody has its answer.
func on[T any](l *netio.Loop, fn func() T) (got asked[T], ok bool) {
	answer := make(chan asked[T], 1)
	over := make(chan struct{})
	go func() {
		l.Do(func() { answer <- asked[T]{fn(), core.Mono()} })
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(lookPatience):
	}
	select {
	case got = <-answer:
		return got, true
	default:
		return got, false
	}
}

// Shards is the shards with their loops.
func (w *viewer) Shards() status.Shards { return w.shards.get(shardsAge, w.lookAtShards) }

// Topics is the topics with their partitions.
func (w *viewer) Topics() []status.Topic { return w.picture.get(pictureAge, w.look).topics }

// Groups is the consumer groups with their lag.
func (w *viewer) Groups() []status.Group { return w.picture.get(pictureAge, w.look).groups }

// Clients is the connections.
func (w *viewer) Clients() []status.Client { return w.clients.get(pictureAge, w.lookAtClients) }

func (w *viewer) lookAtShards() status.Shards {
	out := status.Shards{At: time.Now(), Uptime: time.Since(processBegan).Seconds(), Version: version}
	type moment struct {
		loop  netio.Stats
		shard shard.Stats
	}
	for i, sh := range w.r.shards {
		l := w.r.loops[i]
		got, ok := on(l, func() moment { return moment{l.StatsNow(), sh.StatsNow()} })
		m := got.v
		if !ok {
			m = moment{l.Stats(), *sh.Stats()}
		}
		out.Shards = append(out.Shards, shardStatus(i, &m.loop, &m.shard))
	}
	return out
}

func shardStatus(id int, l *netio.Stats, s *shard.Stats) status.Shard {
	return status.Shard{
		ID: id, At: l.At.Seconds(), Busy: l.Busy.Seconds(), Turns: l.Turns,
		Requests: s.Requests, Produces: s.Produce.Count(), Fetches: s.Fetch.Count(),
		BytesIn: l.BytesIn, BytesOut: l.BytesOut, Appended: s.AppendBytes, Batches: s.Appends, Reads: s.Reads, ReadBytes: s.ReadBytes,
		Refused: s.Refused, Repeats: s.Repeats, Crossed: s.Crossed,
		Commits: s.Store.Commits, Checkpoints: s.Store.Checkpoints, Pending: int64(s.Pending), PendingSize: s.Store.Pending,
		Messages: int64(s.Messages), Queued: l.Queued, Arena: int64(s.Store.Chunks), ArenaFree: int64(s.Store.ChunksFree),
		Accepted: l.Accepted, Closed: l.Closed, Paused: l.Pauses, Stalled: l.Stalled, Connections: l.Connections,
		Partitions: int64(s.Partitions), Quarantined: int64(s.Quarantined), Failed: s.Failed,
		Produce: histogram(&s.Produce), Fetch: histogram(&s.Fetch), Sync: histogram(&s.Sync),
	}
}

var histogramBounds = func() (bounds []float64) {
	for _, b := range shard.LatencyBounds {
		bounds = append(bounds, b.Seconds())
	}
	return bounds
}()

func histogram(l *shard.Latency) status.Hist {
	return status.Hist{Bounds: histogramBounds, Counts: slices.Clone(l.Counts[:]), Sum: l.Sum.Seconds()}
}

func (w *viewer) look() picture {
	catalog := w.r.catalog.Load()
	seen := w.lookAtGroups(catalog)
	topics, high := w.lookAtTopics(catalog)
	p := picture{topics: topics, groups: []status.Group{}}
	for i := range seen {
		p.groups = append(p.groups, groupStatus(seen[i].at, &seen[i].v, high))
	}
	slices.SortFunc(p.groups, func(a, b status.Group) int { return cmp.Compare(a.Name, b.Name) })
	return p
}

// lookAtTopics asks every shard for its partitions, some at a time.
func (w *viewer) lookAtTopics(catalog *core.Catalog) (topics []status.Topic, high map[core.PartitionID]core.Offset) {
	topics, high = []status.Topic{}, map[core.PartitionID]core.Offset{}
	type place struct{ topic, index int }
	places := map[core.PartitionID]place{}
	asks := make([][]core.PartitionID, len(w.r.shards))
	for _, t := range catalog.Topics {
		st := status.Topic{Name: t.Name, ID: t.ID.String(), Internal: t.Internal, Durability: t.Config.Durability.String(), Partitions: []status.Partition{}}
		for i, owner := range t.Partitions {
			id := core.PartitionID{Topic: t.ID, Index: int32(i)}
			st.Partitions = append(st.Partitions, status.Partition{Index: int32(i), Shard: int(owner), Bad: notThere})
			places[id] = place{len(topics), i}
			asks[owner] = append(asks[owner], id)
		}
		topics = append(topics, st)
	}
	for i, sh := range w.r.shards {
		for ids := range slices.Chunk(asks[i], lookAtOnce) {
			got, _ := on(w.r.loops[i], func() []shard.PartitionStats { return sh.Look(ids, nil) })
			for _, g := range got.v {
				at := places[g.ID]
				p := &topics[at.topic].Partitions[at.index]
				p.Start, p.High, p.End, p.Bytes, p.Appended, p.Bad = int64(g.LogStart), int64(g.HighWatermark), int64(g.LogEnd), g.Bytes, g.Appended, ""
				p.At = got.at.Seconds()
				if g.Refuses != core.OK {
					p.Bad = g.Refuses.String()
				}
				high[g.ID] = g.HighWatermark
			}
		}
	}
	return topics, high
}

// notThere is a partition that its shard has not opened yet, or whose loop does not turn.
const notThere = "its shard does not show it"

// lookAtGroups asks every coordinator, one per task.
func (w *viewer) lookAtGroups(catalog *core.Catalog) (seen []asked[group.Seen]) {
	t := catalog.Topic(offsetsTopic)
	if t == nil {
		return nil
	}
	for i, owner := range t.Partitions {
		sh, id := w.r.shards[owner], core.PartitionID{Topic: t.ID, Index: int32(i)}
		got, _ := on(w.r.loops[owner], func() []group.Seen {
			if c, ok := sh.Service(id).(*group.Coordinator); ok {
				return c.Seen(nil)
			}
			return nil
		})
		for _, g := range got.v {
			seen = append(seen, asked[group.Seen]{g, got.at})
		}
	}
	return seen
}

func groupStatus(at time.Duration, g *group.Seen, high map[core.PartitionID]core.Offset) status.Group {
	st := status.Group{Name: g.Name, State: g.State, Members: g.Members, At: at.Seconds(), Offsets: []status.GroupOffset{}}
	for _, o := range g.Offsets {
		end, ok := high[core.PartitionID{Topic: o.Topic, Index: o.Partition}]
		if !ok {
			continue
		}
		lag := max(int64(end-o.Offset), 0) // a commit beyond the end is the client's to make
		st.Offsets = append(st.Offsets, status.GroupOffset{Topic: o.Name, Partition: o.Partition, Offset: int64(o.Offset), High: int64(end), Lag: lag})
		st.Lag += lag
	}
	slices.SortFunc(st.Offsets, func(a, b status.GroupOffset) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return st
}

func (w *viewer) lookAtClients() []status.Client {
	type one struct {
		conn   netio.ConnStats
		client session.Client
	}
	out := []status.Client{}
	for i, sh := range w.r.shards {
		l := w.r.loops[i]
		got, _ := on(l, func() (all []one) {
			for _, c := range l.Connections(nil) {
				client, _ := sh.Client(c.ID)
				all = append(all, one{c, client})
			}
			return all
		})
		from := len(out)
		for _, o := range got.v {
			out = append(out, status.Client{Shard: i, Remote: o.conn.Remote.String(), Local: o.conn.Local.String(), ID: o.client.ID, Software: o.client.Software,
				Age: (got.at - o.conn.Opened).Seconds(), At: got.at.Seconds(), Requests: o.client.Requests, BytesIn: o.conn.BytesIn, BytesOut: o.conn.BytesOut})
		}
		slices.SortFunc(out[from:], func(a, b status.Client) int { return cmp.Compare(a.Remote, b.Remote) })
	}
	return out
}

// views are the JSON values of the admin port that come from a viewer.
func (s *server) views(eyes func() *viewer) map[string]func() (any, error) {
	view := func(look func(w *viewer) any) func() (any, error) {
		return func() (any, error) {
			if w := eyes(); w != nil {
				return look(w), nil
			}
			return nil, fmt.Errorf("the broker is %s", *s.phase.Load())
		}
	}
	return map[string]func() (any, error){
		status.ShardsPath:  view(func(w *viewer) any { return w.Shards() }),
		status.TopicsPath:  view(func(w *viewer) any { return w.Topics() }),
		status.GroupsPath:  view(func(w *viewer) any { return w.Groups() }),
		status.ClientsPath: view(func(w *viewer) any { return w.Clients() }),
	}
}

// viewer makes the one viewer as soon as there is something to see; nil until then.
func (s *server) viewer() func() *viewer {
	var mu sync.Mutex
	var w *viewer
	return func() *viewer {
		mu.Lock()
		defer mu.Unlock()
		if r := s.running.Load(); w == nil && r != nil {
			w = &viewer{r: r}
		}
		return w
	}
}

// metrics is what /metrics is made of.
func (s *server) metrics(eyes func() *viewer) metrics.Options {
	f := newFacts()
	return metrics.Options{
		Version: f.Version, Commit: f.Commit,
		Broker: func() metrics.Broker {
			b := metrics.Broker{Ready: s.isReady() == nil, Node: nodeID, DiskTotal: -1, DiskUsable: -1}
			if s.running.Load() != nil { // what follows does not change any more
				b.ConnectionsMax, b.ConnectionsRefused = int64(s.limit.Max()), s.refusals().Refused
				b.DiskTotal, b.DiskUsable = s.disk.space()
			}
			return b
		},
		Source: func() metrics.Source {
			if w := eyes(); w != nil {
				return w
			}
			return nil
		},
	}
}

// storeStatus is what /v1/status says of a shard's store.
type storeStatus struct {
	Appended    int64 `json:"appended_bytes"`
	Written     int64 `json:"written_bytes"` // into segments
	Commits     int64 `json:"commits"`
	Checkpoints int64 `json:"checkpoints"`
	Chunks      int   `json:"arena_chunks"`
	ChunksFree  int   `json:"arena_chunks_free"`
	Logs        int   `json:"logs"`
	Pending     int64 `json:"pending_bytes"`
	IndexBlocks int   `json:"index_blocks"`
	Segments    int   `json:"open_segments"`
	Full        bool  `json:"disk_full"`
}

// fullShard is one shard in /v1/status.
type fullShard struct {
	Shard   int         `json:"shard"`
	Loop    netio.Stats `json:"loop"`
	Stats   shard.Stats `json:"stats"`
	Store   storeStatus `json:"store"`
	Produce status.Hist `json:"produce_latency"`
	Fetch   status.Hist `json:"fetch_latency"`
	Sync    status.Hist `json:"sync_latency"`
}

// fullShards are from the snapshots that loops and shards publish by themselves.
func (r *running) fullShards() (out []fullShard) {
	for i, sh := range r.shards {
		st := *sh.Stats()
		s := &st.Store
		out = append(out, fullShard{i, r.loops[i].Stats(), st,
			storeStatus{s.Appended, s.Written, s.Commits, s.Checkpoints, s.Chunks, s.ChunksFree, s.Logs, s.Pending, s.IndexBlocks, s.Segments, s.Full},
			histogram(&st.Produce), histogram(&st.Fetch), histogram(&st.Sync)})
	}
	return out
}
