package kafka

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// Every decoded value is compared as text: ours and kmsg's, field by field.

func produceText(q *ProduceRequest) string {
	s := fmt.Sprintf("txn %q acks %d timeout %d", q.TransactionalID, q.Acks, q.TimeoutMs)
	for _, t := range q.Topics {
		s += fmt.Sprintf(" topic %q %x", t.Name, t.ID[:])
		for _, p := range t.Partitions {
			s += fmt.Sprintf(" (%d %x %v)", p.Index, p.Records, p.Records == nil)
		}
	}
	return s
}

func produceOracle(q *kmsg.ProduceRequest) string {
	txn := ""
	if q.TransactionID != nil {
		txn = *q.TransactionID
	}
	s := fmt.Sprintf("txn %q acks %d timeout %d", txn, q.Acks, q.TimeoutMillis)
	for _, t := range q.Topics {
		s += fmt.Sprintf(" topic %q %x", t.Topic, t.TopicID)
		for _, p := range t.Partitions {
			s += fmt.Sprintf(" (%d %x %v)", p.Partition, p.Records, p.Records == nil)
		}
	}
	return s
}

func fetchText(q *FetchRequest) string {
	s := fmt.Sprintf("cluster %q replica %d wait %d %d %d iso %d session %d %d rack %q", q.ClusterID, q.ReplicaID, q.MaxWaitMs,
		q.MinBytes, q.MaxBytes, q.IsolationLevel, q.SessionID, q.SessionEpoch, q.Rack)
	for _, t := range q.Topics {
		s += fmt.Sprintf(" topic %q %x", t.Name, t.ID[:])
		for _, p := range t.Partitions {
			s += fmt.Sprintf(" (%d %d %d %d %d %d)", p.Index, p.LeaderEpoch, p.Offset, p.LastFetchedEpoch, p.LogStart, p.MaxBytes)
		}
	}
	for _, t := range q.Forgotten {
		s += fmt.Sprintf(" forgotten %q %x %d", t.Name, t.ID[:], t.Partitions)
	}
	return s
}

func fetchOracle(q *kmsg.FetchRequest) string {
	cluster := ""
	if q.ClusterID != nil {
		cluster = *q.ClusterID
	}
	replica := q.ReplicaID
	if q.Version >= 15 {
		replica = q.ReplicaState.ID
	}
	s := fmt.Sprintf("cluster %q replica %d wait %d %d %d iso %d session %d %d rack %q", cluster, replica, q.MaxWaitMillis,
		q.MinBytes, q.MaxBytes, q.IsolationLevel, q.SessionID, q.SessionEpoch, q.Rack)
	for _, t := range q.Topics {
		s += fmt.Sprintf(" topic %q %x", t.Topic, t.TopicID)
		for _, p := range t.Partitions {
			s += fmt.Sprintf(" (%d %d %d %d %d %d)", p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.LastFetchedEpoch, p.LogStartOffset, p.PartitionMaxBytes)
		}
	}
	for _, t := range q.ForgottenTopics {
		s += fmt.Sprintf(" forgotten %q %x %d", t.Topic, t.TopicID, t.Partitions)
	}
	return s
}

// agree holds our decoder to CheckBody (both accept, or neither) and to kmsg.
func agree(t *testing.T, key, version int16, body []byte, produce *ProduceRequest, fetch *FetchRequest) (accepted bool) {
	t.Helper()
	checked := CheckBody(key, version, body)
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	var err error
	if key == Produce {
		err = produce.Decode(version, body)
	} else {
		err = fetch.Decode(version, body)
	}
	if (err == nil) != (checked == nil) {
		t.Fatalf("key %d v%d: decoder %v, CheckBody %v\n%x", key, version, err, checked, body)
	}
	if err != nil {
		return false
	}
	if err := req.ReadFrom(body); err != nil {
		t.Fatalf("key %d v%d: kmsg: %v", key, version, err)
	}
	var ours, theirs string
	if key == Produce {
		ours, theirs = produceText(produce), produceOracle(req.(*kmsg.ProduceRequest))
	} else {
		ours, theirs = fetchText(fetch), fetchOracle(req.(*kmsg.FetchRequest))
	}
	if ours != theirs {
		t.Fatalf("key %d v%d\nours %s\nkmsg %s", key, version, ours, theirs)
	}
	return true
}

func TestHotDecodersAgreeWithKmsgAndRefuseEveryTruncation(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	var produce ProduceRequest
	var fetch FetchRequest
	for _, key := range []int16{Produce, Fetch} {
		r := Lookup(key)
		for version := r.Min; version <= r.Max; version++ {
			for range 100 {
				req := kmsg.RequestForKey(key)
				req.SetVersion(version)
				randomize(reflect.ValueOf(req).Elem(), rnd)
				body := req.AppendTo(nil)
				if !agree(t, key, version, body, &produce, &fetch) {
					t.Fatalf("%s v%d refused: %x", r.Name, version, body)
				}
				for n := range body {
					if agree(t, key, version, body[:n:n], &produce, &fetch) {
						t.Fatalf("%s v%d: %d of %d bytes accepted", r.Name, version, n, len(body))
					}
				}
			}
		}
	}
}

func FuzzHotDecoders(f *testing.F) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for _, key := range []int16{Produce, Fetch} {
		for version := Lookup(key).Min; version <= Lookup(key).Max; version++ {
			req := kmsg.RequestForKey(key)
			req.SetVersion(version)
			randomize(reflect.ValueOf(req).Elem(), rnd)
			f.Add(key == Fetch, uint8(version), req.AppendTo(nil))
		}
	}
	var produce ProduceRequest
	var fetch FetchRequest
	f.Fuzz(func(t *testing.T, isFetch bool, version uint8, body []byte) {
		key := Produce
		if isFetch {
			key = Fetch
		}
		r := Lookup(key)
		v := r.Min + int16(version)%(r.Max-r.Min+1)
		body = append(make([]byte, 0, len(body)), body...)
		if agree(t, key, v, body, &produce, &fetch) {
			// What has been read is enough: a byte behind it changes nothing.
			agree(t, key, v, append(body, 0xa5), &produce, &fetch)
		}
	})
}

var someNodes = []Node{{ID: 1, Host: "127.0.0.1", Port: 9192}, {ID: 7, Host: "broker-7.example.org", Port: 9199, Rack: "r"}}

// What the encoder writes, kmsg reads as the same values, and writes back as the same
// bytes: so nothing is missing, and nothing is there that kmsg skipped.
func TestProduceEncoderAgreesWithKmsg(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	var e ProduceEncoder
	for version := int16(3); version <= 13; version++ {
		for range 100 {
			encodeProduce(t, &e, rnd, version)
		}
	}
}

// encodeProduce writes a random response with e and compares it.
func encodeProduce(t *testing.T, e *ProduceEncoder, rnd *rand.Rand, version int16) {
	want := kmsg.NewPtrProduceResponse()
	want.SetVersion(version)
	want.ThrottleMillis = rnd.Int32()
	nodes := someNodes[:rnd.IntN(3)]
	if version >= 10 {
		want.Brokers = kmsgProduceNodes(nodes)
	}
	topics := rnd.IntN(3)
	e.Begin([]byte{9, 9}, version, topics)
	for range topics {
		wt := kmsg.NewProduceResponseTopic()
		name, id := bytes.Repeat([]byte{'t'}, rnd.IntN(200)), core.TopicID{1, byte(rnd.IntN(256))}
		if version < 13 {
			wt.Topic = string(name)
		} else {
			wt.TopicID = id
		}
		n := rnd.IntN(4)
		e.Topic(name, id, n)
		for range n {
			p := randomProduceResult(rnd)
			e.Partition(&p)
			wt.Partitions = append(wt.Partitions, kmsgProducePartition(&p, version))
		}
		e.EndTopic()
		want.Topics = append(want.Topics, wt)
	}
	compare(t, e.End(want.ThrottleMillis, nodes), want)
}

func compare(t *testing.T, got []byte, want kmsg.Response) {
	t.Helper()
	if text := want.AppendTo([]byte{9, 9}); !bytes.Equal(got, text) {
		t.Fatalf("%T v%d\nours %x\nkmsg %x", want, want.GetVersion(), got, text)
	}
	again := kmsg.ResponseForKey(want.Key())
	again.SetVersion(want.GetVersion())
	if err := again.ReadFrom(got[2:]); err != nil {
		t.Fatal(err)
	}
}

func kmsgProduceNodes(nodes []Node) (out []kmsg.ProduceResponseBroker) {
	for _, n := range nodes {
		b := kmsg.NewProduceResponseBroker()
		b.NodeID, b.Host, b.Port = n.ID, n.Host, n.Port
		if n.Rack != "" {
			b.Rack = &n.Rack
		}
		out = append(out, b)
	}
	return out
}

func randomProduceResult(rnd *rand.Rand) ProduceResult {
	p := ProduceResult{Index: rnd.Int32(), Error: int16(rnd.IntN(100)), Base: core.Offset(rnd.Int64()), AppendTime: rnd.Int64(),
		LogStart: core.Offset(rnd.Int64()), Leader: core.NodeID(rnd.IntN(3) - 1), Epoch: core.Epoch(rnd.IntN(9))}
	for range rnd.IntN(3) {
		p.Records = append(p.Records, RecordError{Index: rnd.Int32(), Message: "xy"[:rnd.IntN(3)]})
	}
	p.Message = string(bytes.Repeat([]byte{'m'}, rnd.IntN(300)))
	return p
}

func kmsgProducePartition(p *ProduceResult, version int16) kmsg.ProduceResponseTopicPartition {
	w := kmsg.NewProduceResponseTopicPartition()
	w.Partition, w.ErrorCode, w.BaseOffset, w.LogAppendTime, w.LogStartOffset = p.Index, p.Error, int64(p.Base), p.AppendTime, int64(p.LogStart)
	for _, r := range p.Records {
		wr := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		wr.RelativeOffset = r.Index
		if r.Message != "" {
			wr.ErrorMessage = &r.Message
		}
		w.ErrorRecords = append(w.ErrorRecords, wr)
	}
	if p.Message != "" {
		w.ErrorMessage = &p.Message
	}
	if version >= 10 && p.Leader >= 0 {
		w.CurrentLeader.LeaderID, w.CurrentLeader.LeaderEpoch = int32(p.Leader), int32(p.Epoch)
	}
	return w
}

func TestFetchEncoderAgreesWithKmsg(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	var e FetchEncoder
	for version := int16(4); version <= 18; version++ {
		for range 100 {
			encodeFetch(t, &e, rnd, version)
		}
	}
}

// FuzzHotEncoders draws responses from any seed.
func FuzzHotEncoders(f *testing.F) {
	for v := range uint8(15) {
		f.Add(true, v, uint64(v), uint64(1))
		f.Add(false, v, uint64(v), uint64(2))
	}
	var produce ProduceEncoder
	var fetch FetchEncoder
	f.Fuzz(func(t *testing.T, isFetch bool, version uint8, seed1, seed2 uint64) {
		rnd := rand.New(rand.NewPCG(seed1, seed2))
		if isFetch {
			encodeFetch(t, &fetch, rnd, 4+int16(version)%15)
			return
		}
		encodeProduce(t, &produce, rnd, 3+int16(version)%11)
	})
}

// encodeFetch writes a random response with e, with its records put in at the cuts, and
// compares it.
func encodeFetch(t *testing.T, e *FetchEncoder, rnd *rand.Rand, version int16) {
	want := kmsg.NewPtrFetchResponse()
	want.SetVersion(version)
	want.ThrottleMillis = rnd.Int32()
	if version >= 7 {
		want.ErrorCode, want.SessionID = int16(rnd.IntN(9)), rnd.Int32()
	}
	nodes := someNodes[:rnd.IntN(3)]
	if version >= 16 {
		for _, n := range kmsgProduceNodes(nodes) {
			want.Brokers = append(want.Brokers, kmsg.FetchResponseBroker(n))
		}
	}
	var records [][]byte
	var cuts []int
	topics := rnd.IntN(3)
	e.Begin([]byte{9, 9}, version, want.ThrottleMillis, want.ErrorCode, want.SessionID, topics)
	for range topics {
		wt := kmsg.NewFetchResponseTopic()
		name, id := bytes.Repeat([]byte{'t'}, rnd.IntN(200)), core.TopicID{1, byte(rnd.IntN(256))}
		if version < 13 {
			wt.Topic = string(name)
		} else {
			wt.TopicID = id
		}
		n := rnd.IntN(4)
		e.Topic(name, id, n)
		for range n {
			p, wp := randomFetchResult(rnd, version)
			wp.RecordBatches = bytes.Repeat([]byte{0xee}, rnd.IntN(2)*rnd.IntN(300))
			e.Partition(&p, len(wp.RecordBatches))
			records, cuts = append(records, wp.RecordBatches), append(cuts, e.Len())
			e.EndPartition()
			wt.Partitions = append(wt.Partitions, wp)
		}
		e.EndTopic()
		want.Topics = append(want.Topics, wt)
	}
	body := e.End(nodes)
	var got []byte
	from := 0
	for i := range cuts {
		got = append(append(got, body[from:cuts[i]]...), records[i]...)
		from = cuts[i]
	}
	compare(t, append(got, body[from:]...), want)
}

func randomFetchResult(rnd *rand.Rand, version int16) (FetchResult, kmsg.FetchResponseTopicPartition) {
	p := FetchResult{Index: rnd.Int32(), Error: int16(rnd.IntN(100)), HighWatermark: core.Offset(rnd.Int64()), LastStable: core.Offset(rnd.Int64()),
		LogStart: core.Offset(rnd.Int64()), ReadCommitted: rnd.IntN(2) == 0, PreferredRead: core.NodeID(rnd.IntN(3) - 1),
		Leader: core.NodeID(rnd.IntN(3) - 1), Epoch: core.Epoch(rnd.IntN(9))}
	w := kmsg.NewFetchResponseTopicPartition()
	w.Partition, w.ErrorCode, w.HighWatermark, w.LastStableOffset = p.Index, p.Error, int64(p.HighWatermark), int64(p.LastStable)
	w.LogStartOffset, w.PreferredReadReplica = int64(p.LogStart), int32(p.PreferredRead)
	if p.ReadCommitted {
		w.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
		for range rnd.IntN(3) {
			a := AbortedTransaction{ProducerID: rnd.Int64(), First: core.Offset(rnd.Int64())}
			p.Aborted = append(p.Aborted, a)
			wa := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
			wa.ProducerID, wa.FirstOffset = a.ProducerID, int64(a.First)
			w.AbortedTransactions = append(w.AbortedTransactions, wa)
		}
	}
	if version >= 16 && p.Leader >= 0 {
		w.CurrentLeader.LeaderID, w.CurrentLeader.LeaderEpoch = int32(p.Leader), int32(p.Epoch)
	}
	return p, w
}

func TestHotCodecsAllocateNothing(t *testing.T) {
	produceBody, fetchBody := tenPartitions(t)
	var produce ProduceRequest
	var fetch FetchRequest
	var pe ProduceEncoder
	var fe FetchEncoder
	var buf []byte
	name := []byte("topic")
	pr, fr := ProduceResult{Leader: -1}, FetchResult{Leader: -1}
	for what, fn := range map[string]func(){
		"produce request": func() { _ = produce.Decode(9, produceBody) },
		"fetch request":   func() { _ = fetch.Decode(12, fetchBody) },
		"produce response": func() {
			buf = BeginResponse(buf[:0], Produce, 9, 1)
			pe.Begin(buf, 9, 1)
			pe.Topic(name, core.TopicID{}, 10)
			for range 10 {
				pe.Partition(&pr)
			}
			pe.EndTopic()
			buf = pe.End(0, someNodes)
			EndResponse(buf, 0, 0)
		},
		"fetch response": func() {
			fe.Begin(buf[:0], 16, 0, 0, 0, 1)
			fe.Topic(name, core.TopicID{}, 10)
			for range 10 {
				fe.Partition(&fr, 100)
				fe.EndPartition()
			}
			fe.EndTopic()
			buf = fe.End(someNodes)
		},
	} {
		fn()
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

// tenPartitions is a Produce v9 and a Fetch v12 of ten partitions, 1 KiB each.
func tenPartitions(t testing.TB) (produce, fetch []byte) {
	t.Helper()
	pq, fq := kmsg.NewPtrProduceRequest(), kmsg.NewPtrFetchRequest()
	pq.SetVersion(9)
	fq.SetVersion(12)
	pt, ft := kmsg.NewProduceRequestTopic(), kmsg.NewFetchRequestTopic()
	pt.Topic, ft.Topic = "topic", "topic"
	for i := range int32(10) {
		pp, fp := kmsg.NewProduceRequestTopicPartition(), kmsg.NewFetchRequestTopicPartition()
		pp.Partition, pp.Records = i, make([]byte, 1024)
		fp.Partition = i
		pt.Partitions, ft.Partitions = append(pt.Partitions, pp), append(ft.Partitions, fp)
	}
	pq.Topics, fq.Topics = append(pq.Topics, pt), append(fq.Topics, ft)
	return pq.AppendTo(nil), fq.AppendTo(nil)
}

func BenchmarkProduceDecode(b *testing.B) {
	body, _ := tenPartitions(b)
	var q ProduceRequest
	b.ReportAllocs()
	for b.Loop() {
		_ = q.Decode(9, body)
	}
}

func BenchmarkFetchDecode(b *testing.B) {
	_, body := tenPartitions(b)
	var q FetchRequest
	b.ReportAllocs()
	for b.Loop() {
		_ = q.Decode(12, body)
	}
}

func BenchmarkProduceEncode(b *testing.B) {
	var e ProduceEncoder
	var buf []byte
	name := []byte("topic")
	p := ProduceResult{Leader: -1}
	b.ReportAllocs()
	for b.Loop() {
		e.Begin(buf[:0], 9, 1)
		e.Topic(name, core.TopicID{}, 10)
		for range 10 {
			e.Partition(&p)
		}
		e.EndTopic()
		buf = e.End(0, nil)
	}
}
