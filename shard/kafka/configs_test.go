package kafka

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

func TestDescribeLogDirsTellsTheFileSystemAndLeavesOutWhatCannotBeRead(t *testing.T) {
	opt := Options{LogDir: "/var/lib/data", Disk: func() (int64, int64) { return 1000, 400 }}
	for v := int16(1); v <= 5; v++ {
		f := newFake(t, normalListener, opt)
		f.topic("t", 0, 0, 0)
		f.refuseRead = map[int32]core.Code{1: core.ErrQuarantined}
		d := f.ask(kmsg.NewPtrDescribeLogDirsRequest(), v).(*kmsg.DescribeLogDirsResponse).Dirs
		if len(d) != 1 || d[0].Dir != "/var/lib/data" || d[0].ErrorCode != 0 || len(d[0].Topics) != 1 || len(d[0].Topics[0].Partitions) != 2 {
			t.Fatalf("version %d: %+v", v, d)
		}
		if p := d[0].Topics[0].Partitions[1]; p.Partition != 2 || p.Size != 11 || p.OffsetLag != 0 || p.IsFuture {
			t.Errorf("version %d: %+v", v, p)
		}
		if v >= 4 && (d[0].TotalBytes != 1000 || d[0].UsableBytes != 400 || d[0].IsCordoned) {
			t.Errorf("version %d: %+v", v, d[0])
		}
		f.refuseRead = map[int32]core.Code{0: core.ErrQuarantined, 1: core.ErrQuarantined, 2: core.ErrQuarantined}
		d = f.ask(kmsg.NewPtrDescribeLogDirsRequest(), v).(*kmsg.DescribeLogDirsResponse).Dirs
		if len(d) != 1 || d[0].ErrorCode != 56 || len(d[0].Topics) != 0 {
			t.Errorf("version %d: %+v", v, d)
		}
	}
	f := newFake(t, normalListener, Options{})
	if d := f.ask(kmsg.NewPtrDescribeLogDirsRequest(), 4).(*kmsg.DescribeLogDirsResponse).Dirs[0]; d.ErrorCode != 0 || d.TotalBytes != -1 || d.UsableBytes != -1 {
		t.Errorf("no topics, and no disk: %+v", d)
	}
}

func TestTheSynonymsOfASettingAreTheTopicsTheBrokersAndKafkas(t *testing.T) {
	defaults := core.DefaultTopicConfig()
	defaults.RetentionMs, defaults.SegmentMs = 1000, 2000
	f := newFake(t, normalListener, Options{Defaults: defaults})
	topic := f.topic("t", 0)
	topic.Set["retention.ms"] = "3000"
	topic.Config = defaults
	topic.Config.RetentionMs, topic.Config.Durability = 3000, core.Interval // as flush.ms would have it
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: 2, ResourceName: "t", ConfigNames: []string{"retention.ms", "segment.ms", "retention.bytes", "penstock.durability"}}}
	var got []string
	for _, c := range f.ask(req, 4).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		line := fmt.Sprint(c.Name, "=", *c.Value, " from ", int8(c.Source))
		for _, y := range c.ConfigSynonyms {
			line += fmt.Sprint("; ", *y.Value, " from ", int8(y.Source))
		}
		got = append(got, line)
	}
	want := []string{
		"penstock.durability=interval from 1; interval from 1; synced from 5",
		"retention.bytes=-1 from 5; -1 from 5",
		"retention.ms=3000 from 1; 3000 from 1; 1000 from 4; 604800000 from 5",
		"segment.ms=2000 from 4; 2000 from 4; 604800000 from 5",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestAnInitProducerIdWithoutATransactionalIdIsANewIdAlsoAfterAnExpiredOne(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	for v := int16(0); v <= 5; v++ {
		for _, c := range []struct {
			id    int64
			epoch int16
			want  int16
		}{{-1, -1, 0}, {77, 3, 0}, {77, 32767, 0}, {77, -1, 42}, {-1, 3, 42}} {
			if v < 3 && c.id+int64(c.epoch) != -2 {
				continue // cannot be said
			}
			req := kmsg.NewPtrInitProducerIDRequest()
			req.ProducerID, req.ProducerEpoch = c.id, c.epoch
			before := f.pid
			r := f.ask(req, v).(*kmsg.InitProducerIDResponse)
			switch {
			case r.ErrorCode != c.want:
				t.Errorf("version %d, %+v: %+v", v, c, r)
			case c.want == 0 && (r.ProducerID != before+1 || r.ProducerEpoch != 0):
				t.Errorf("version %d, %+v: %+v is not new", v, c, r)
			case c.want != 0 && (r.ProducerID != -1 || r.ProducerEpoch != -1):
				t.Errorf("version %d, %+v: %+v", v, c, r)
			}
		}
	}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = text("")
	if r := f.ask(req, 5).(*kmsg.InitProducerIDResponse); r.ErrorCode != 42 {
		t.Errorf("an empty transactional id: %+v", r)
	}
	f.refuseChange = core.ErrStorage
	if r := f.ask(kmsg.NewPtrInitProducerIDRequest(), 5).(*kmsg.InitProducerIDResponse); r.ErrorCode != 15 || r.ProducerID != -1 {
		t.Errorf("the catalog refuses: %+v", r)
	}
}

// The session leaves the arithmetic to the writer of the catalog: what it knows of the
// value may be old when the command is decided.
func TestAppendAndSubtractAreDecidedByTheCatalogsWriter(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	alter := func(key string, op int8, value *string) kmsg.IncrementalAlterConfigsResponseResource {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t",
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Op: kmsg.IncrementalAlterConfigOp(op), Value: value}}}}
		return f.ask(req, 1).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	}
	alter("cleanup.policy", opAppend, text("compact"))
	if e := f.commands[0].Edit["cleanup.policy"]; e.Remove || e.Elements != "compact" {
		t.Errorf("%+v", f.commands)
	}
	alter("cleanup.policy", opSubtract, text("compact"))
	if e := f.commands[1].Edit["cleanup.policy"]; !e.Remove || e.Elements != "compact" {
		t.Errorf("%+v", f.commands)
	}
	for _, c := range []struct {
		key   string
		op    int8
		value *string
		want  int16
	}{{"retention.ms", opAppend, text("1"), 40}, {"cleanup.policy", opAppend, nil, 42}, {"cleanup.policy", 9, text("delete"), 42}} {
		if r := alter(c.key, c.op, c.value); r.ErrorCode != c.want || len(f.commands) != 2 {
			t.Errorf("%+v: %d", c, r.ErrorCode)
		}
	}
	alter("retention.ms", opSet, nil)
	if v, ok := f.commands[2].Set["retention.ms"]; !ok || v != nil {
		t.Errorf("null does not go back to the default: %+v", f.commands[2])
	}
	alter("retention.ms", opDelete, nil)
	if v, ok := f.commands[3].Set["retention.ms"]; !ok || v != nil {
		t.Errorf("delete does not go back to the default: %+v", f.commands[3])
	}
}

func TestWhatAnAdminRequestNamesTwiceIsRefusedAndTheRestIsDone(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("once", 0)
	create, remove := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewPtrDeleteTopicsRequest()
	grow, alter, change := kmsg.NewPtrCreatePartitionsRequest(), kmsg.NewPtrAlterConfigsRequest(), kmsg.NewPtrIncrementalAlterConfigsRequest()
	for _, name := range []string{"twice", "once", "twice"} {
		create.Topics = append(create.Topics, kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: 1, ReplicationFactor: 1})
		remove.Topics = append(remove.Topics, kmsg.DeleteTopicsRequestTopic{Topic: &name})
		grow.Topics = append(grow.Topics, kmsg.CreatePartitionsRequestTopic{Topic: name, Count: 2})
		alter.Resources = append(alter.Resources, kmsg.AlterConfigsRequestResource{ResourceType: 2, ResourceName: name})
		change.Resources = append(change.Resources, kmsg.IncrementalAlterConfigsRequestResource{ResourceType: 2, ResourceName: name})
	}
	got := map[string][3]int16{}
	c := f.ask(create, 7).(*kmsg.CreateTopicsResponse).Topics
	d := f.ask(remove, 6).(*kmsg.DeleteTopicsResponse).Topics
	g := f.ask(grow, 3).(*kmsg.CreatePartitionsResponse).Topics
	a := f.ask(alter, 2).(*kmsg.AlterConfigsResponse).Resources
	i := f.ask(change, 1).(*kmsg.IncrementalAlterConfigsResponse).Resources
	got["CreateTopics"] = [3]int16{c[0].ErrorCode, c[1].ErrorCode, c[2].ErrorCode}
	got["DeleteTopics"] = [3]int16{d[0].ErrorCode, d[1].ErrorCode, d[2].ErrorCode}
	got["CreatePartitions"] = [3]int16{g[0].ErrorCode, g[1].ErrorCode, g[2].ErrorCode}
	got["AlterConfigs"] = [3]int16{a[0].ErrorCode, a[1].ErrorCode, a[2].ErrorCode}
	got["IncrementalAlterConfigs"] = [3]int16{i[0].ErrorCode, i[1].ErrorCode, i[2].ErrorCode}
	for name, codes := range got {
		if codes[0] != 42 || codes[1] == 42 || codes[2] != 42 {
			t.Errorf("%s: %d", name, codes)
		}
	}
	if len(f.commands) != 4 {
		t.Errorf("%d commands, want one of each that is not refused, but for the deletion", len(f.commands))
	}
}
