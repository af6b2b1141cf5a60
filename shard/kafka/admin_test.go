package kafka

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

func sessionDone(t session.Ticket) session.Completion { return session.Completion{Ticket: t} }

func listOffset(f *fake, version int16, ts int64) kmsg.ListOffsetsResponseTopicPartition {
	req := kmsg.NewPtrListOffsetsRequest()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = "t"
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = ts
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return f.ask(req, version).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
}

func TestSpecialTimestampsOfListOffsetsAreUnsupportedBeforeTheirVersion(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	l := f.log(core.PartitionID{Topic: topic.ID})
	l.start, l.end = 2, 7
	for _, c := range []struct {
		version     int16
		ts          int64
		code        int16
		offset, got int64
	}{
		{1, -1, 0, 7, -1}, {1, -2, 0, 2, -1}, {6, -3, 35, -1, -1}, {7, -3, 0, 6, 900}, {7, -4, 35, -1, -1}, {8, -4, 0, 2, -1},
		{8, -5, 35, -1, -1}, {9, -5, 0, -1, -1}, {10, -6, 35, -1, -1}, {11, -6, 0, -1, -1}, {11, -7, 35, -1, -1},
		{11, 400, 0, 0, 500}, {11, 600, 0, -1, -1},
	} {
		p := listOffset(f, c.version, c.ts)
		if p.ErrorCode != c.code || p.Offset != c.offset || p.Timestamp != c.got {
			t.Errorf("version %d timestamp %d: %+v", c.version, c.ts, p)
		}
	}
}

func TestAnUnknownLeaderEpochEndsAtMinusOneWithoutAnError(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
	rt.Topic = "t"
	rt.Partitions = append(rt.Partitions, kmsg.NewOffsetForLeaderEpochRequestTopicPartition())
	rt.Partitions[0].LeaderEpoch = 1
	req.Topics = append(req.Topics, rt)
	p := f.ask(req, 4).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.EndOffset != -1 || p.LeaderEpoch != -1 {
		t.Fatalf("%+v", p)
	}
}

func metadata(f *fake, version int16, create bool, names []string) *kmsg.MetadataResponse {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = create
	if names != nil {
		req.Topics = []kmsg.MetadataRequestTopic{}
	}
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = text(n)
		req.Topics = append(req.Topics, t)
	}
	return f.ask(req, version).(*kmsg.MetadataResponse)
}

func TestAnEmptyMetadataListIsAllTopicsAtVersion0AndNoneAfter(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	for v := int16(0); v <= 13; v++ {
		want := 0
		if v == 0 {
			want = 1
		}
		if got := len(metadata(f, v, false, []string{}).Topics); got != want {
			t.Errorf("version %d: %d topics for an empty list", v, got)
		}
		if got := len(metadata(f, v, false, nil).Topics); got != 1 {
			t.Errorf("version %d: %d topics for null", v, got)
		}
	}
}

func TestMetadataCreatesATopicOnlyIfRequestAndBrokerAllowIt(t *testing.T) {
	for _, c := range []struct {
		broker, request bool
		want            int16
	}{{true, true, 0}, {true, false, 3}, {false, true, 3}} {
		f := newFake(t, normalListener, Options{AutoCreate: c.broker})
		m := metadata(f, 12, c.request, []string{"new"})
		if m.Topics[0].ErrorCode != c.want || c.want == 0 && (len(m.Topics[0].Partitions) != 1 || m.Topics[0].TopicID == [16]byte{}) {
			t.Errorf("broker %v request %v: %+v", c.broker, c.request, m.Topics[0])
		}
	}
}

func TestMetadataTellsTheViewOfTheListener(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0, 1)
	m := metadata(f, 12, false, nil)
	if len(m.Brokers) != 1 || m.Brokers[0].NodeID != 1 || m.Brokers[0].Host != "127.0.0.1" || m.Brokers[0].Port != 9092 || m.ControllerID != 1 ||
		*m.ClusterID == "" || m.Topics[0].Partitions[1].Leader != 1 || m.Topics[0].Partitions[0].LeaderEpoch != 3 {
		t.Fatalf("%+v", m)
	}
	f = newFake(t, coreListener, Options{})
	f.topic("t", 0, 1)
	m = metadata(f, 12, false, nil)
	if len(m.Brokers) != 2 || m.Brokers[1].NodeID != 1002 || m.Brokers[1].Host != "core.example" || m.Brokers[1].Port != 9193 ||
		m.ControllerID != 1001 || m.Topics[0].Partitions[1].Leader != 1002 {
		t.Fatalf("%+v", m)
	}
}

func TestLogDirsTellAPartitionOnlyWhereItsLeaderIs(t *testing.T) {
	for listener, want := range map[int][]int32{normalListener: {0, 1, 2}, coreListener: {1}} {
		f := newFake(t, listener, Options{})
		f.topic("other", 0)
		f.topic("t", 0, 1, 0)
		asked := kmsg.NewPtrDescribeLogDirsRequest()
		asked.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "t", Partitions: []int32{0, 1, 2}}}
		for _, req := range []*kmsg.DescribeLogDirsRequest{asked, kmsg.NewPtrDescribeLogDirsRequest()} {
			topics := f.ask(req, 4).(*kmsg.DescribeLogDirsResponse).Dirs[0].Topics
			var got []int32
			for _, p := range topics[len(topics)-1].Partitions {
				got = append(got, p.Partition)
			}
			if topics[len(topics)-1].Topic != "t" || !slices.Equal(got, want) {
				t.Errorf("listener %d: %v, want %v", listener, topics, want)
			}
		}
	}
}

func TestAuthorizedOperationsAreTheMinimumWhenNotAsked(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	m := metadata(f, 9, false, nil)
	d := f.ask(kmsg.NewPtrDescribeClusterRequest(), 0).(*kmsg.DescribeClusterResponse)
	if m.AuthorizedOperations != notAsked || m.Topics[0].AuthorizedOperations != notAsked || d.ClusterAuthorizedOperations != notAsked {
		t.Fatal(m.AuthorizedOperations, m.Topics[0].AuthorizedOperations, d.ClusterAuthorizedOperations)
	}
}

func TestAuthorizedOperationsAreAllOfThemWhenAsked(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	m := kmsg.NewPtrMetadataRequest()
	m.IncludeTopicAuthorizedOperations, m.IncludeClusterAuthorizedOperations = true, true
	md := f.ask(m, 10).(*kmsg.MetadataResponse)
	d := kmsg.NewPtrDescribeClusterRequest()
	d.IncludeClusterAuthorizedOperations = true
	dc := f.ask(d, 0).(*kmsg.DescribeClusterResponse)
	dt := f.ask(kmsg.NewPtrDescribeTopicPartitionsRequest(), 0).(*kmsg.DescribeTopicPartitionsResponse)
	if md.Topics[0].AuthorizedOperations != 3576 || md.AuthorizedOperations != 8096 || dc.ClusterAuthorizedOperations != 8096 || dt.Topics[0].AuthorizedOperations != 3576 {
		t.Fatal(md.Topics[0].AuthorizedOperations, md.AuthorizedOperations, dc.ClusterAuthorizedOperations, dt.Topics[0].AuthorizedOperations)
	}
}

func TestCreateTopicsRefusesOtherReplicationFactorsAndUnknownSettings(t *testing.T) {
	for _, c := range []struct {
		factor     int16
		key, value string
		want       int16
	}{{1, "", "", 0}, {-1, "", "", 0}, {3, "", "", 38}, {1, "no.such", "1", 40}, {1, "cleanup.policy", "compact", 40}} {
		f := newFake(t, normalListener, Options{})
		req := kmsg.NewPtrCreateTopicsRequest()
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = "n", 2, c.factor
		if c.key != "" {
			rt.Configs = append(rt.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: c.key, Value: &c.value})
		}
		req.Topics = append(req.Topics, rt)
		out := f.ask(req, 7).(*kmsg.CreateTopicsResponse).Topics[0]
		if out.ErrorCode != c.want || c.want == 0 && (len(out.Configs) != len(core.TopicKeys()) || out.NumPartitions != 2) {
			t.Errorf("%+v: %+v", c, out)
		}
	}
}

func TestATransactionalIdIsRefusedAndAProducerIdIsNew(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	req := kmsg.NewPtrInitProducerIDRequest()
	if r := f.ask(req, 4).(*kmsg.InitProducerIDResponse); r.ErrorCode != 0 || r.ProducerID != 1 || r.ProducerEpoch != 0 {
		t.Fatalf("%+v", r)
	}
	req.TransactionalID = text("tx")
	if r := f.ask(req, 4).(*kmsg.InitProducerIDResponse); r.ErrorCode == 0 || r.ProducerID != -1 {
		t.Fatalf("%+v", r)
	}
}

func TestTheCoordinatorIsANodeOfMetadataWithErrorsPerKey(t *testing.T) {
	f := newFake(t, coreListener, Options{})
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKeys = []string{"a", "b"}
	if r := f.ask(req, 4).(*kmsg.FindCoordinatorResponse); len(r.Coordinators) != 2 || r.Coordinators[0].ErrorCode != 15 {
		t.Fatalf("%+v", r)
	}
	f.topic(offsetsName, 1)
	for _, c := range f.ask(req, 4).(*kmsg.FindCoordinatorResponse).Coordinators {
		if c.ErrorCode != 0 || c.NodeID != 1002 || c.Port != 9193 {
			t.Fatalf("%+v", c)
		}
	}
	req.CoordinatorType = 1
	if c := f.ask(req, 4).(*kmsg.FindCoordinatorResponse).Coordinators[0]; c.ErrorCode == 0 || c.ErrorMessage == nil {
		t.Fatalf("%+v", c)
	}
	req.CoordinatorType, req.CoordinatorKey = 0, "g"
	if r := f.ask(req, 0).(*kmsg.FindCoordinatorResponse); r.ErrorCode != 0 || r.NodeID != 1002 {
		t.Fatalf("%+v", r)
	}
}

func TestAGroupRequestGoesToTheOwnerOfItsPartitionAndARefusalIsItsError(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic(offsetsName, 0, 0, 0)
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group = "g"
	if r := f.ask(req, 4).(*kmsg.HeartbeatResponse); r.ErrorCode != 14 || len(f.calls) != 1 || f.calls[0].Kind != 12 || f.calls[0].Partition.Index != 'g'%3 {
		t.Fatalf("%+v %+v", r, f.calls)
	}
	d := kmsg.NewPtrDescribeGroupsRequest()
	d.Groups = []string{"a", "b"}
	if r := f.ask(d, 5).(*kmsg.DescribeGroupsResponse); len(r.Groups) != 2 || r.Groups[1].ErrorCode != 14 || r.Groups[1].Group != "b" {
		t.Fatalf("%+v", r)
	}
	if r := f.ask(kmsg.NewPtrListGroupsRequest(), 5).(*kmsg.ListGroupsResponse); r.ErrorCode != 14 {
		t.Fatalf("%+v", r)
	}
}

func TestCreatePartitionsReturnsAResultForEveryTopic(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "a", Count: 2}, {Topic: "b", Count: 3}}
	if r := f.ask(req, 3).(*kmsg.CreatePartitionsResponse); len(r.Topics) != 2 || r.Topics[0].ErrorCode != 3 || r.Topics[1].ErrorMessage == nil {
		t.Fatalf("%+v", r)
	}
}

func TestDeleteRecordsToMinusOneIsTheHighWatermark(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	f.log(core.PartitionID{Topic: topic.ID}).end = 9
	req := kmsg.NewPtrDeleteRecordsRequest()
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = "t"
	rt.Partitions = []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: -1}}
	req.Topics = append(req.Topics, rt)
	if p := f.ask(req, 2).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LowWatermark != 9 {
		t.Fatalf("%+v", p)
	}
}

func TestDescribeConfigsGivesSourceSynonymsAndType(t *testing.T) {
	f := newFake(t, normalListener, Options{Broker: []BrokerSetting{{Name: "num.partitions", Value: "4", Default: "1", Doc: "d", Type: core.TypeInt}}})
	f.topic("t", 0).Set["retention.ms"] = "604800000"
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: 2, ResourceName: "t"}, {ResourceType: 4, ResourceName: "1"}}
	r := f.ask(req, 4).(*kmsg.DescribeConfigsResponse)
	if len(r.Resources[0].Configs) != len(core.TopicKeys()) || len(r.Resources[1].Configs) != 1 || r.Resources[1].Configs[0].Source != 4 {
		t.Fatalf("%+v", r)
	}
	for _, c := range r.Resources[0].Configs {
		if c.Name == "retention.ms" && (c.Source != 1 || len(c.ConfigSynonyms) != 2 || c.ConfigType != 5 || c.Documentation == nil) {
			t.Fatalf("%+v", c)
		}
	}
}

func TestDescribeTopicPartitionsGoesOnFromItsCursor(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("a", 0, 0, 0)
	f.topic("b", 0)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 2
	r := f.ask(req, 0).(*kmsg.DescribeTopicPartitionsResponse)
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 2 || r.NextCursor == nil || r.NextCursor.Partition != 2 {
		t.Fatalf("%+v", r)
	}
	req.ResponsePartitionLimit = -1 // one, as in Kafka
	if one := f.ask(req, 0).(*kmsg.DescribeTopicPartitionsResponse); len(one.Topics) != 1 || len(one.Topics[0].Partitions) != 1 {
		t.Fatalf("%+v", one)
	}
	req.ResponsePartitionLimit = 2
	req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: r.NextCursor.Topic, Partition: r.NextCursor.Partition}
	r = f.ask(req, 0).(*kmsg.DescribeTopicPartitionsResponse)
	if len(r.Topics) != 2 || len(r.Topics[0].Partitions) != 1 || len(r.Topics[1].Partitions) != 1 || r.NextCursor != nil {
		t.Fatalf("%+v", r)
	}
}

func TestTheAddressToldIsTheOneThatTheClientCameInOn(t *testing.T) {
	for local, want := range map[string]string{"127.0.0.1:9092": "127.0.0.1", "[::ffff:10.0.0.7]:9092": "10.0.0.7", "[::1]:9092": "::1", "[fe80::1%eth0]:9092": "fe80::1"} {
		f := newFake(t, normalListener, Options{})
		f.s = New(f, core.ConnInfo{ID: core.MakeConnID(7, 1), Local: netip.MustParseAddrPort(local)}, Options{})
		if got := metadata(f, 9, false, nil).Brokers[0].Host; got != want {
			t.Errorf("%s: %s, want %s", local, got, want)
		}
	}
}

func TestTheClusterHasAnIdAndItsControllerIsABrokerOfTheView(t *testing.T) {
	for _, listener := range []int{normalListener, coreListener} {
		f := newFake(t, listener, Options{})
		m := metadata(f, 12, false, nil)
		d := f.ask(kmsg.NewPtrDescribeClusterRequest(), 2).(*kmsg.DescribeClusterResponse)
		live := map[int32]bool{}
		for _, b := range m.Brokers {
			live[b.NodeID] = b.Rack != nil && *b.Rack == "host"
		}
		if m.ClusterID == nil || len(*m.ClusterID) != 22 || d.ClusterID != *m.ClusterID || !live[m.ControllerID] || !live[d.ControllerID] || len(d.Brokers) != len(m.Brokers) {
			t.Errorf("%+v\n%+v", m, d)
		}
		for _, b := range d.Brokers {
			if !live[b.NodeID] {
				t.Errorf("%+v is not in Metadata", b)
			}
		}
	}
}

func TestCreateTopicsWithValidateOnlySaysWhatWouldBeAndMakesNothing(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	for v := int16(2); v <= 7; v++ {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.ValidateOnly, req.TimeoutMillis = true, 1000
		req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "n", NumPartitions: -1, ReplicationFactor: -1}}
		r := f.ask(req, v).(*kmsg.CreateTopicsResponse).Topics[0]
		if r.ErrorCode != 0 || v >= 5 && (r.NumPartitions != 1 || r.ReplicationFactor != 1 || len(r.Configs) == 0) || len(f.catalog.Topics) != 0 {
			t.Errorf("version %d: %+v", v, r)
		}
	}
}
