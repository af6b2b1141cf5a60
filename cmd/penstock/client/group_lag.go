package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// describe describes the groups that are wanted, and says which of them are missing.
func describe(ctx context.Context, adm *kadm.Client, wanted []string, regex bool) (found []groupDetail, missing []error, err error) {
	names, missing, err := groups(ctx, adm, wanted, regex)
	if err != nil {
		return nil, nil, err
	}
	found, err = describeGroups(ctx, adm, names)
	return found, missing, err
}

// describeGroups finds the lag of groups, sorted by name. Groups of the newer protocol
// (KIP-848), which the older request does not find, are asked for by the newer one.
func describeGroups(ctx context.Context, adm *kadm.Client, names []string) ([]groupDetail, error) {
	out := []groupDetail{}
	if len(names) == 0 {
		return out, nil // none would mean all
	}
	classic, err := adm.Lag(ctx, slices.Clone(names)...)
	if err != nil {
		return nil, err
	}
	var newer []string
	for _, l := range classic.Sorted() {
		if errors.Is(l.DescribeErr, kerr.GroupIDNotFound) {
			newer = append(newer, l.Group)
		}
	}
	found := kadm.DescribedConsumerGroups{}
	if len(newer) > 0 {
		// A broker without the request does not have such groups either: then the answer to
		// the older one holds.
		found, _ = some(adm.DescribeConsumerGroups(ctx, newer...))
	}
	for _, l := range classic.Sorted() {
		g, ok := found[l.Group]
		if !ok || g.Err != nil {
			out = append(out, classicGroup(l))
			continue
		}
		d, err := newerGroup(ctx, adm, g)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// finish sums up what is known of the partitions.
func (d *groupDetail) finish(err error) {
	slices.SortFunc(d.PartitionList, func(a, b partitionLag) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), int(a.Partition)-int(b.Partition))
	})
	d.MemberCount, d.TopicList = len(d.MemberList), topicLags(d.PartitionList)
	d.TopicCount = len(d.TopicList)
	if d.err = cli.Refusal(err, ""); d.err != nil {
		d.Error = d.err.Error()
		return
	}
	var total int64
	for _, t := range d.TopicList {
		total += t.Lag
	}
	d.Lag = &total
}

func topicLags(ps []partitionLag) []topicLag {
	out := []topicLag{}
	members := map[string]bool{}
	for _, p := range ps { // by topic
		if len(out) == 0 || out[len(out)-1].Topic != p.Topic {
			out = append(out, topicLag{Topic: p.Topic})
			clear(members)
		}
		t := &out[len(out)-1]
		t.Partitions++
		if p.Member != "" {
			members[p.Member] = true
			t.Members = len(members)
		}
		switch {
		case p.Lag == nil:
			t.Unknown++
		case *p.Lag > 0:
			t.Behind++
			t.Lag += *p.Lag
		}
	}
	return out
}

func classicGroup(l kadm.DescribedGroupLag) groupDetail {
	d := groupDetail{PartitionList: []partitionLag{}, MemberList: []memberDetail{},
		groupSummary: groupSummary{Name: l.Group, State: l.State, Protocol: l.Protocol, Type: l.ProtocolType, Coordinator: l.Coordinator.NodeID}}
	for _, p := range l.Lag.Sorted() {
		row := partitionLag{Topic: p.Topic, Partition: p.Partition, Error: errText(cli.Refusal(p.Err, ""))}
		if p.Commit.At >= 0 {
			row.Committed = &p.Commit.At
		}
		if p.Start.Err == nil {
			row.Start = &p.Start.Offset
		}
		if p.End.Err == nil {
			row.High = &p.End.Offset
		}
		if p.Lag >= 0 {
			row.Lag = &p.Lag
		}
		if p.Member != nil {
			row.Member, row.Client, row.Host = p.Member.MemberID, p.Member.ClientID, p.Member.ClientHost
		}
		d.PartitionList = append(d.PartitionList, row)
	}
	for _, m := range l.Members {
		row := memberDetail{ID: m.MemberID, Instance: m.InstanceID, Client: m.ClientID, Host: m.ClientHost, Partitions: []string{}}
		if c, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range c.Topics {
				for _, p := range t.Partitions {
					row.Partitions = append(row.Partitions, fmt.Sprintf("%s-%d", t.Topic, p))
				}
			}
		}
		d.MemberList = append(d.MemberList, row)
	}
	d.finish(l.Error())
	return d
}

// newerGroup is the same for a group of KIP-848, whose lag is the broker's positions
// against what it has committed: of all that it has committed, and all that its members
// hold.
func newerGroup(ctx context.Context, adm *kadm.Client, g kadm.DescribedConsumerGroup) (groupDetail, error) {
	d := groupDetail{PartitionList: []partitionLag{}, MemberList: []memberDetail{},
		groupSummary: groupSummary{Name: g.Group, State: g.State, Protocol: g.AssignorName, Type: "consumer", Coordinator: g.Coordinator.NodeID}}
	committed, err := adm.FetchOffsets(ctx, g.Group)
	if err != nil {
		d.finish(err)
		return d, nil
	}
	all := g.AssignedPartitions()
	all.Merge(committed.Partitions())
	holder := map[string]kadm.ConsumerGroupMember{}
	for _, m := range g.Members {
		row := memberDetail{ID: m.MemberID, Instance: m.InstanceID, Client: m.ClientID, Host: m.ClientHost, Partitions: []string{}}
		for _, t := range m.Assignment.Sorted() {
			for _, p := range t.Partitions {
				name := fmt.Sprintf("%s-%d", t.Topic, p)
				holder[name] = m
				row.Partitions = append(row.Partitions, name)
			}
		}
		d.MemberList = append(d.MemberList, row)
	}
	ts := kadm.TopicDetails{}
	for _, t := range all.Topics() {
		ts[t] = kadm.TopicDetail{Topic: t}
	}
	start, high, err := ranges(ctx, adm, ts)
	if err != nil {
		return d, err
	}
	for _, t := range all.Sorted() {
		for _, p := range t.Partitions {
			d.PartitionList = append(d.PartitionList, newerPartition(t.Topic, p, committed, start, high, holder))
		}
	}
	d.finish(nil)
	return d, nil
}

// newerPartition is one partition: without a commit all that it holds is behind.
func newerPartition(topic string, p int32, committed kadm.OffsetResponses, start, high kadm.ListedOffsets, holder map[string]kadm.ConsumerGroupMember) partitionLag {
	m := holder[fmt.Sprintf("%s-%d", topic, p)]
	row := partitionLag{Topic: topic, Partition: p, Member: m.MemberID, Client: m.ClientID, Host: m.ClientHost}
	c, ok := committed.Lookup(topic, p)
	if ok && c.Err == nil && c.At >= 0 {
		row.Committed = &c.At
	}
	if s, ok := start.Lookup(topic, p); ok && s.Err == nil {
		row.Start = &s.Offset
	}
	if h, ok := high.Lookup(topic, p); ok && h.Err == nil {
		row.High = &h.Offset
	}
	at := row.Committed
	if at == nil {
		at = row.Start
	}
	switch {
	case ok && c.Err != nil:
		row.Error = cli.Refusal(c.Err, "").Error()
	case row.High == nil || at == nil:
		row.Error = "the broker does not tell the offsets of this partition"
	default:
		lag := max(0, *row.High-*at)
		row.Lag = &lag
	}
	return row
}
