package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What kafka-ui (its ReactiveAdminClient and StatisticsService), AKHQ (its
// AbstractKafkaWrapper) and Redpanda Console ask a cluster for while they show its pages.
// Both are Java's Admin: it negotiates versions by ApiVersions as this client does, so a
// request that is not listed there never reaches the broker, and fails as unsupported.

// toolPages are the calls, in the order in which a person opens the pages. All of them have
// to succeed; each says what it saw.
var toolPages = []struct {
	name string
	ask  func(ctx context.Context, a tool) (seen any, ok bool, err error)
}{
	{"the brokers", func(ctx context.Context, a tool) (any, bool, error) {
		m, err := a.BrokerMetadata(ctx)
		return m, len(m.Brokers) == 1 && m.Controller == nodeID && m.Cluster != "", err
	}},
	{"DescribeCluster", func(ctx context.Context, a tool) (any, bool, error) {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.IncludeClusterAuthorizedOperations = true
		resp, err := a.kgo.Request(ctx, req)
		if err != nil {
			return nil, false, err
		}
		r := resp.(*kmsg.DescribeClusterResponse)
		return r, r.ErrorCode == 0 && len(r.Brokers) == 1 && r.ControllerID == nodeID && r.ClusterID != "", nil
	}},
	{"the topics, internal ones too", func(ctx context.Context, a tool) (any, bool, error) {
		ts, err := a.ListTopicsWithInternal(ctx)
		return ts, err == nil && ts.Error() == nil && ts.Has("seen") && ts[offsetsTopic].IsInternal && len(ts["seen"].Partitions) == 2 && len(ts["seen"].Partitions[0].ISR) == 1, err
	}},
	{"DescribeTopicPartitions", func(ctx context.Context, a tool) (any, bool, error) {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "seen"}}
		req.ResponsePartitionLimit = 2000
		resp, err := a.kgo.Request(ctx, req)
		if err != nil {
			return nil, false, err
		}
		r := resp.(*kmsg.DescribeTopicPartitionsResponse)
		return r, len(r.Topics) == 1 && r.Topics[0].ErrorCode == 0 && len(r.Topics[0].Partitions) == 2, nil
	}},
	{"the settings of all topics", func(ctx context.Context, a tool) (any, bool, error) {
		rs, err := a.DescribeTopicConfigs(ctx, "seen", offsetsTopic)
		ok := len(rs) == 2
		for _, r := range rs {
			ok = ok && r.Err == nil && hasConfig(r, "retention.ms") && hasConfig(r, "cleanup.policy")
		}
		return rs, ok, err
	}},
	{"the settings of the broker", func(ctx context.Context, a tool) (any, bool, error) {
		rs, err := a.DescribeBrokerConfigs(ctx, nodeID)
		return rs, len(rs) == 1 && rs[0].Err == nil && len(rs[0].Configs) > 3, err
	}},
	{"the log directories", func(ctx context.Context, a tool) (any, bool, error) {
		all, err := a.DescribeAllLogDirs(ctx, nil)
		size, partitions := int64(0), 0
		failed := err
		all.Each(func(d kadm.DescribedLogDir) {
			failed = errors.Join(failed, d.Err)
			d.Topics.Each(func(p kadm.DescribedLogDirPartition) { size, partitions = size+p.Size, partitions+1 })
		})
		return all, partitions == 2+offsetsParts && size > 500, failed
	}},
	{"the first offsets", func(ctx context.Context, a tool) (any, bool, error) {
		os, err := a.ListStartOffsets(ctx, "seen")
		o, ok := os.Lookup("seen", 1)
		return os, ok && os.Error() == nil && o.Offset == 0, err
	}},
	{"the last offsets", func(ctx context.Context, a tool) (any, bool, error) {
		os, err := a.ListEndOffsets(ctx, "seen")
		o, ok := os.Lookup("seen", 1)
		return os, ok && os.Error() == nil && o.Offset == 5, err
	}},
	{"the offsets at a time", func(ctx context.Context, a tool) (any, bool, error) {
		os, err := a.ListOffsetsAfterMilli(ctx, 1, "seen")
		o, ok := os.Lookup("seen", 0)
		return os, ok && os.Error() == nil && o.Offset == 0, err
	}},
	{"the groups", func(ctx context.Context, a tool) (any, bool, error) {
		gs, err := a.ListGroups(ctx)
		return gs, len(gs) == 1 && gs["readers"].State == "Empty", err
	}},
	{"the groups in a state", func(ctx context.Context, a tool) (any, bool, error) {
		gs, err := a.ListGroups(ctx, "Stable")
		return gs, len(gs) == 0, err
	}},
	{"the groups of a type", func(ctx context.Context, a tool) (any, bool, error) {
		gs, err := a.ListGroupsByType(ctx, []string{"classic"}, "Empty")
		return gs, len(gs) == 1, err
	}},
	{"DescribeGroups", func(ctx context.Context, a tool) (any, bool, error) {
		gs, err := a.DescribeGroups(ctx, "readers")
		return gs, len(gs) == 1 && gs.Error() == nil && gs["readers"].State == "Empty", err
	}},
	{"what a group has committed", func(ctx context.Context, a tool) (any, bool, error) {
		os, err := a.FetchOffsets(ctx, "readers")
		o, ok := os.Lookup("seen", 0)
		return os, ok && os.Error() == nil && o.At == 2, err
	}},
	{"the lag", func(ctx context.Context, a tool) (any, bool, error) {
		ls, err := a.Lag(ctx, "readers")
		return ls, ls.Error() == nil && ls["readers"].Lag.Total() == 3, err
	}},
}

// tool is what a tool has: an admin client, and beneath it a client for what that one
// has no method for.
type tool struct {
	*kadm.Client
	kgo *kgo.Client
}

func hasConfig(r kadm.ResourceConfig, key string) bool {
	return slices.ContainsFunc(r.Configs, func(c kadm.Config) bool { return c.Key == key && c.Value != nil })
}

func toolAt(t *testing.T, addr string) tool {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ClientID("tool"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return tool{kadm.NewClient(cl), cl}
}

func TestPagesOfToolsAreGreen(t *testing.T) {
	_, f := busyBroker(t)
	a := toolAt(t, f.Listeners[0].Address)
	for _, p := range toolPages {
		if seen, ok, err := p.ask(t.Context(), a); err != nil || !ok {
			t.Errorf("%s: %v, %+v", p.name, err, seen)
		}
	}
}

// What is not served is left out of ApiVersions, so that a client knows it without asking.
// kafka-ui then hides ACLs and quotas and goes on; it asks for a group by DescribeGroups,
// as Java's Admin does where the newer call is missing.
func TestWhatToolsMustNotFind(t *testing.T) {
	_, f := busyBroker(t)
	a := toolAt(t, f.Listeners[0].Address)
	versions, err := a.ApiVersions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range []kmsg.Request{kmsg.NewPtrDescribeACLsRequest(), kmsg.NewPtrDescribeClientQuotasRequest(), kmsg.NewPtrDescribeUserSCRAMCredentialsRequest(),
		kmsg.NewPtrListPartitionReassignmentsRequest(), kmsg.NewPtrDescribeQuorumRequest(), kmsg.NewPtrDescribeProducersRequest(),
		kmsg.NewPtrConsumerGroupDescribeRequest(), kmsg.NewPtrShareGroupDescribeRequest(), kmsg.NewPtrListTransactionsRequest(), kmsg.NewPtrAlterReplicaLogDirsRequest()} {
		name := kmsg.NameForKey(req.Key())
		for _, v := range versions {
			if _, _, served := v.KeyVersions(req.Key()); served {
				t.Errorf("%s is advertised: is it served whole? then it belongs to the pages", name)
			}
		}
		if _, err := a.kgo.Request(t.Context(), req); err == nil || !strings.Contains(err.Error(), "will not know how to handle") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok, err := toolPages[0].ask(t.Context(), a); err != nil || !ok {
		t.Errorf("after that the broker does not answer: %v", err)
	}
}

// What the tools' buttons do: make a topic, change it, grow it, trim it, set a group's
// offsets, and delete all of it again.
func TestButtonsOfTools(t *testing.T) {
	_, f := busyBroker(t)
	a := toolAt(t, f.Listeners[0].Address)
	ctx := t.Context()
	value := "3600000"
	done := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := a.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": &value}, "made")
	done("create", err)
	rs, err := a.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, "made")
	done("IncrementalAlterConfigs", err)
	for _, r := range rs {
		done("IncrementalAlterConfigs", r.Err)
	}
	rs, err = a.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &value}}, "made")
	done("AlterConfigs", err)
	for _, r := range rs {
		done("AlterConfigs", r.Err)
	}
	ps, err := a.UpdatePartitions(ctx, 3, "made")
	done("CreatePartitions", err)
	done("CreatePartitions", ps.Error())
	ds, err := a.DeleteRecords(ctx, offsetsAt("seen", 0, 1))
	done("DeleteRecords", err)
	done("DeleteRecords", ds.Error())
	os, err := a.CommitOffsets(ctx, "readers", offsetsAt("seen", 0, 1))
	done("OffsetCommit", err)
	done("OffsetCommit", os.Error())
	dos, err := a.DeleteOffsets(ctx, "readers", kadm.TopicsSet{"seen": {1: {}}})
	done("OffsetDelete", err)
	done("OffsetDelete", dos.Error())
	_, err = a.DeleteGroup(ctx, "readers")
	done("DeleteGroups", err)
	_, err = a.DeleteTopic(ctx, "made")
	done("DeleteTopics", err)
	ts, err := a.ListTopics(ctx)
	done("the topics", err)
	gs, err := a.ListGroups(ctx)
	done("the groups", err)
	if ts.Has("made") || len(gs) != 0 {
		t.Errorf("%v %v", ts.Names(), gs)
	}
}

func offsetsAt(topic string, partition int32, at int64) kadm.Offsets {
	var os kadm.Offsets
	os.AddOffset(topic, partition, at, -1)
	return os
}
