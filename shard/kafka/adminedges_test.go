package kafka

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// The edges of the requests of administration; see edges_test.go.

// asked is a partition of a ListOffsets request, of t unless it says another topic.
type asked struct {
	topic string
	index int32
	ts    int64
	epoch int32
}

func listOffsets(f *fake, version int16, all ...asked) []kmsg.ListOffsetsResponseTopic {
	req := kmsg.NewPtrListOffsetsRequest()
	for _, a := range all {
		if a.topic == "" {
			a.topic = "t"
		}
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != a.topic {
			req.Topics = append(req.Topics, kmsg.ListOffsetsRequestTopic{Topic: a.topic})
		}
		rt := &req.Topics[len(req.Topics)-1]
		rt.Partitions = append(rt.Partitions, kmsg.ListOffsetsRequestTopicPartition{Partition: a.index, Timestamp: a.ts, CurrentLeaderEpoch: a.epoch})
	}
	return f.ask(req, version).(*kmsg.ListOffsetsResponse).Topics
}

func TestListOffsetsAnswersAPartitionThatIsNamedTwiceOnceWithInvalidRequest(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0, 0)
	f.log(core.PartitionID{Topic: topic.ID, Index: 1}).end = 7
	got := listOffsets(f, 7, asked{"", 0, -1, -1}, asked{"", 1, -1, -1}, asked{"", 0, -2, -1}, asked{"nowhere", 0, -9, -1}, asked{"nowhere", 0, -9, -1}, asked{"", 0, -1, -1})
	if len(got) != 2 || len(got[0].Partitions) != 2 || len(got[1].Partitions) != 1 {
		t.Fatalf("%+v", got)
	}
	twice, once, nowhere := got[0].Partitions[0], got[0].Partitions[1], got[1].Partitions[0]
	if twice.ErrorCode != 42 || twice.Offset != -1 || twice.Timestamp != -1 || twice.LeaderEpoch != -1 || once.ErrorCode != 0 || once.Offset != 7 || nowhere.ErrorCode != 42 {
		t.Fatalf("%+v", got)
	}
}

func TestListOffsetsChecksTheLeaderEpochAndTellsItWithAnOffset(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	l := f.log(core.PartitionID{Topic: f.topic("t", 0).ID})
	l.end = 7
	for _, c := range []struct {
		asked
		code          int16
		offset, ts    int64
		told, version int16
	}{
		{asked{"", 0, -1, 2}, 74, -1, -1, -1, 4}, {asked{"", 0, -1, 4}, 75, -1, -1, -1, 4}, {asked{"", 0, -1, 3}, 0, 7, -1, 3, 4}, {asked{"", 0, -1, -1}, 0, 7, -1, 3, 4},
		{asked{"", 0, 0, -1}, 0, 0, 500, 3, 4}, {asked{"", 0, 600, -1}, 0, -1, -1, -1, 4}, {asked{"nowhere", 0, -7, -1}, 35, -1, -1, -1, 4}, {asked{"", 9, -1, -1}, 3, -1, -1, -1, 4},
	} {
		p := listOffsets(f, c.version, c.asked)[0].Partitions[0]
		if p.ErrorCode != c.code || p.Offset != c.offset || p.Timestamp != c.ts || p.LeaderEpoch != int32(c.told) {
			t.Errorf("%+v: %+v", c, p)
		}
	}
	l.end = 0
	if p := listOffsets(f, 7, asked{"", 0, -3, -1})[0].Partitions[0]; p.ErrorCode != 0 || p.Offset != -1 || p.Timestamp != -1 || p.LeaderEpoch != -1 {
		t.Errorf("the largest timestamp of nothing: %+v", p)
	}
}

func TestATopicIsMadeByAskingOnlyIfTheVersionOrTheRequestSaysSo(t *testing.T) {
	for v := int16(0); v <= 13; v++ {
		for _, allowed := range []bool{false, true} {
			f := newFake(t, normalListener, Options{AutoCreate: true})
			want := int16(3)
			if v < 4 || allowed { // older versions cannot say no
				want = 0
			}
			if got := metadata(f, v, allowed, []string{"new"}).Topics[0].ErrorCode; got != want {
				t.Errorf("version %d, allowed %v: %d", v, allowed, got)
			}
			if want == 0 && f.commands[0].Partitions != -1 {
				t.Errorf("version %d: %d partitions asked for, not the default", v, f.commands[0].Partitions)
			}
		}
	}
}

func TestMetadataAsksByIdFromVersion12OnWhateverTheNameSays(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	f.topic("u", 0)
	for _, c := range []struct {
		version int16
		id      core.TopicID
		name    *string
		want    int16
		found   string
	}{
		{12, topic.ID, nil, 0, "t"}, {12, topic.ID, text("u"), 0, "t"}, {12, core.TopicID{9}, text("t"), 100, ""}, {12, core.TopicID{}, text("u"), 0, "u"},
		{11, topic.ID, text("t"), 42, "t"}, {10, topic.ID, nil, 42, ""}, {11, core.TopicID{}, nil, 42, ""}, {11, core.TopicID{}, text("u"), 0, "u"},
	} {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{{TopicID: c.id, Topic: c.name}}
		got := f.ask(req, c.version).(*kmsg.MetadataResponse).Topics[0]
		found := ""
		if got.Topic != nil {
			found = *got.Topic
		}
		if got.ErrorCode != c.want || found != c.found {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// Else a request of a mebibyte could have an answer of many gibibytes.
func TestWhatIsNamedAgainIsDescribedOnce(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	f.topic(offsetsName, 0)
	if got := metadata(f, 12, false, []string{"t", "nowhere", "t", "nowhere"}).Topics; len(got) != 2 {
		t.Errorf("Metadata: %+v", got)
	}
	dc := kmsg.NewPtrDescribeConfigsRequest()
	dc.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: 2, ResourceName: "t"}, {ResourceType: 4, ResourceName: "1"}, {ResourceType: 2, ResourceName: "t"}}
	if got := f.ask(dc, 4).(*kmsg.DescribeConfigsResponse).Resources; len(got) != 2 {
		t.Errorf("DescribeConfigs: %+v", got)
	}
	dg := kmsg.NewPtrDescribeGroupsRequest()
	dg.Groups = []string{"g", "h", "g"}
	if got := f.ask(dg, 5).(*kmsg.DescribeGroupsResponse).Groups; len(got) != 2 {
		t.Errorf("DescribeGroups: %+v", got)
	}
	of := kmsg.NewPtrOffsetFetchRequest()
	all := kmsg.OffsetFetchRequestGroup{Group: "g"} // no topics: all of them
	one := kmsg.OffsetFetchRequestGroup{Group: "g", Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}}
	of.Groups = []kmsg.OffsetFetchRequestGroup{all, one, all, one}
	if got := f.ask(of, 9).(*kmsg.OffsetFetchResponse).Groups; len(got) != 3 {
		t.Errorf("OffsetFetch: %+v", got)
	}
}

func TestAuthorizedOperationsOfAMissingTopicAreNotTold(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: text("nowhere")}}
	if got := f.ask(req, 12).(*kmsg.MetadataResponse).Topics[0]; got.ErrorCode != 3 || got.AuthorizedOperations != notAsked {
		t.Fatalf("%+v", got)
	}
}

func TestReplicationFactorsOtherThanOneAndTheDefaultAreInvalid(t *testing.T) {
	for factor, want := range map[int16]int16{-2: 38, -1: 0, 0: 38, 1: 0, 2: 38} {
		f := newFake(t, normalListener, Options{})
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "n", NumPartitions: 1, ReplicationFactor: factor}}
		if got := f.ask(req, 7).(*kmsg.CreateTopicsResponse).Topics[0]; got.ErrorCode != want || want != 0 && (got.Configs == nil || len(got.Configs) != 0) {
			t.Errorf("%d: %+v", factor, got)
		}
	}
}

// The writer of the catalog is told whether to do it, and whether the rest goes.
func TestDryRunsAndReplacementsAreSaidToTheCatalogsWriter(t *testing.T) {
	for _, dry := range []bool{false, true} {
		f := newFake(t, normalListener, Options{})
		f.topic("t", 0)
		createPartitions(f, "t", 2, dry)
		alter, change := kmsg.NewPtrAlterConfigsRequest(), kmsg.NewPtrIncrementalAlterConfigsRequest()
		alter.ValidateOnly, change.ValidateOnly = dry, dry
		alter.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t"}}
		change.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t"}}
		f.ask(alter, 2)
		f.ask(change, 1)
		if c := f.commands; len(c) != 3 || c[0].DryRun != dry || c[1].DryRun != dry || c[2].DryRun != dry || !c[1].Replace || c[2].Replace {
			t.Errorf("dry %v: %+v", dry, c)
		}
	}
}

func TestASettingThatIsNamedTwiceIsRefused(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	alter, change := kmsg.NewPtrAlterConfigsRequest(), kmsg.NewPtrIncrementalAlterConfigsRequest()
	a := kmsg.AlterConfigsRequestResourceConfig{Name: "retention.ms", Value: text("1")}
	c := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: "retention.ms", Value: text("1")}
	list := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: "cleanup.policy", Op: opAppend, Value: text("delete")}
	alter.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t", Configs: []kmsg.AlterConfigsRequestResourceConfig{a, a}}}
	change.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t", Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{c, c}}}
	x := f.ask(alter, 2).(*kmsg.AlterConfigsResponse).Resources[0]
	y := f.ask(change, 1).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	change.Resources[0].Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{list, list}
	z := f.ask(change, 1).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	if x.ErrorCode != 42 || y.ErrorCode != 42 || z.ErrorCode != 42 || x.ErrorMessage == nil || len(f.commands) != 0 {
		t.Fatalf("%+v %+v %+v, %d commands", x, y, z, len(f.commands))
	}
}

func TestATopicToBeDeletedIsNamedByItsNameOrItsId(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	for _, c := range []kmsg.DeleteTopicsRequestTopic{{Topic: text("t"), TopicID: topic.ID}, {}} {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Topics = []kmsg.DeleteTopicsRequestTopic{c}
		if got := f.ask(req, 6).(*kmsg.DeleteTopicsResponse).Topics[0]; got.ErrorCode != 42 {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

func TestDescribeConfigsListsAllForNoNamesAndNothingThatIsNotThere(t *testing.T) {
	f := newFake(t, normalListener, Options{Broker: []BrokerSetting{{Name: "num.partitions", Value: "4", Default: "1", Type: core.TypeInt}}})
	f.topic("t", 0)
	for _, c := range []struct {
		kind   kmsg.ConfigResourceType
		name   string
		names  []string
		want   int16
		listed int
	}{
		{2, "t", nil, 0, len(core.TopicKeys())}, {2, "t", []string{}, 0, len(core.TopicKeys())}, {2, "t", []string{"retention.ms", "no.such"}, 0, 1},
		{2, "nowhere", nil, 3, 0}, {2, "not/valid", nil, 17, 0}, {4, "1", nil, 0, 1}, {4, "2", nil, 42, 0}, {4, "x", nil, 42, 0},
		{4, "", nil, 0, 0}, // what is set for all brokers while they run
		{8, "1", nil, 42, 0},
	} {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: c.kind, ResourceName: c.name, ConfigNames: c.names}}
		got := f.ask(req, 4).(*kmsg.DescribeConfigsResponse).Resources[0]
		if got.ErrorCode != c.want || len(got.Configs) != c.listed || (got.ErrorMessage != nil) != (c.want != 0) {
			t.Errorf("%+v: %+v", c, got)
		}
		for _, k := range got.Configs {
			if k.ReadOnly != (c.kind == 4) {
				t.Errorf("%+v: %+v", c, k)
			}
		}
	}
}

func TestDescribeTopicPartitionsGivesTwoThousandPartitionsAtMost(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", make([]core.ShardID, 2500)...)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 1 << 30
	r := f.ask(req, 0).(*kmsg.DescribeTopicPartitionsResponse)
	if len(r.Topics[0].Partitions) != 2000 || r.NextCursor == nil || r.NextCursor.Partition != 2000 {
		t.Fatalf("%d partitions, %+v", len(r.Topics[0].Partitions), r.NextCursor)
	}
}

func TestOnlyCoordinatorsOfGroupsAreFound(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic(offsetsName, 0)
	for kind, want := range map[int8]int16{0: 0, 1: 53, 2: 42, 9: 42} {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType, req.CoordinatorKeys, req.CoordinatorKey = kind, []string{"g"}, "g"
		got := f.ask(req, 6).(*kmsg.FindCoordinatorResponse).Coordinators[0]
		old := f.ask(req, 2).(*kmsg.FindCoordinatorResponse)
		if got.ErrorCode != want || old.ErrorCode != want || (got.ErrorMessage != nil) != (want != 0) || slices.Contains([]int32{got.NodeID, old.NodeID}, -1) != (want != 0) {
			t.Errorf("type %d: %+v", kind, got)
		}
	}
}
