package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/workload"
)

// cluster is the broker that is measured, and the topics that are used on it. It is the
// load's map of leaders.
type cluster struct {
	w        *workload.Workload
	client   *kgo.Client
	admin    *kadm.Client
	names    []string // of the topics
	made     bool     // by us, all of them
	rest     []string // those of them that could not be deleted
	stem     string   // of the names of all that is made
	penstock bool
	versions *kversion.Versions
	id       string
	addrs    []string // of the brokers
	replicas int

	mu      sync.Mutex
	leaders []string // address by index; "": none
	asked   time.Time
}

// Versions that are spoken at most: with higher ones topics have no names.
const (
	produceVersionMax = 12
	fetchVersionMax   = 12
)

// meet asks the broker what it is.
func (c *cluster) meet(ctx context.Context) error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "penstock-bench", "1"
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return err
	}
	c.versions = kversion.FromApiVersionsResponse(resp)
	m, err := c.admin.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	c.id = m.Cluster
	for _, b := range m.Brokers {
		c.addrs = append(c.addrs, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))))
	}
	sort.Strings(c.addrs)
	const probe = "penstock-bench-probe"
	// Only penstock takes its own setting; nothing is made.
	made, err := c.admin.ValidateCreateTopics(ctx, 1, 1, map[string]*string{durabilityKey: kadm.StringPtr("os")}, fmt.Sprintf("%s-%x", probe, rand.Uint64()))
	if err != nil {
		return err
	}
	for _, t := range made {
		c.penstock = t.Err == nil
	}
	return nil
}

const durabilityKey = "penstock.durability"

// version is what is spoken for a request; an error if it is too old.
func (c *cluster) version(key int16, most, least int16) (int16, error) {
	v, ok := c.versions.LookupMaxKeyVersion(key)
	if !ok || v < least {
		return 0, fmt.Errorf("the broker is too old for the wire client: it speaks %s up to version %d, and %d is needed; use --client franz", kmsg.NameForKey(key), v, least)
	}
	return min(v, most), nil
}

// prepare makes the topics, or looks at the one that exists.
func (c *cluster) prepare(ctx context.Context, topic string, made func()) error {
	if topic != "" {
		return c.existing(ctx, topic)
	}
	for i := range c.w.Topics {
		c.names = append(c.names, fmt.Sprintf("%s%04d", c.stem, i))
	}
	configs := map[string]*string{}
	if c.w.Durability != "" {
		k, v := durabilityKey, c.w.Durability
		if !c.penstock {
			k, v = kafkaDurability(c.w.Durability)
		}
		configs[k] = &v
	}
	for k, v := range c.w.Configs {
		configs[k] = kadm.StringPtr(v)
	}
	c.made = true // as many as there will be
	made()
	got, err := c.admin.CreateTopics(ctx, int32(c.w.Partitions), -1, configs, c.names...)
	if err != nil {
		return fmt.Errorf("make the topics: %w", err)
	}
	for _, t := range got.Sorted() {
		if t.Err != nil {
			return fmt.Errorf("make the topic %s: %w %s", t.Topic, t.Err, t.ErrMessage)
		}
	}
	for {
		err := c.Refresh(ctx)
		if err == nil { // a broker may say who leads before the leader knows of it
			_, err = c.offsets(ctx, true)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kafkaDurability is what comes nearest in Kafka's own settings.
func kafkaDurability(d string) (key, value string) {
	switch d {
	case "synced":
		return "flush.messages", "1"
	case "interval":
		return "flush.ms", "10"
	}
	return "flush.messages", strconv.FormatInt(1<<63-1, 10)
}

func (c *cluster) existing(ctx context.Context, topic string) error {
	c.names = []string{topic}
	if c.w.Topics != 1 {
		return fmt.Errorf("an existing topic is one topic; the workload has %d", c.w.Topics)
	}
	if c.w.Durability != "" || len(c.w.Configs) > 0 {
		return fmt.Errorf("durability and topic_configs are for topics made for the run; the topic %s has its own", topic)
	}
	d, err := c.admin.ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	if err := d[topic].Err; err != nil {
		return fmt.Errorf("the topic %s: %w", topic, err)
	}
	c.w.Partitions = len(d[topic].Partitions)
	if err := c.w.Check(); err != nil {
		return fmt.Errorf("with the topic %s of %d partitions: %w", topic, c.w.Partitions, err)
	}
	return c.Refresh(ctx)
}

// delete removes the topics that were made.
func (c *cluster) delete(ctx context.Context) error {
	if !c.made {
		return nil
	}
	got, err := c.admin.DeleteTopics(ctx, c.names...)
	if err != nil {
		return err
	}
	c.made, c.rest = false, nil
	for _, t := range got.Sorted() {
		if t.Err != nil && !errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			c.rest = append(c.rest, t.Topic)
			err = errors.Join(err, fmt.Errorf("%s: %w", t.Topic, t.Err))
		}
	}
	return err
}

// left says what of the run is on the broker, with how to delete it; "": nothing.
func (c *cluster) left(groups []string) string {
	var what, how []string
	add := func(kind string, names []string) {
		if len(names) == 0 {
			return
		}
		each := strings.Join(names, ", ")
		if n := len(names); n > 8 { // they differ in a number at the end alone
			each = names[0] + " to " + names[n-1]
		}
		what = append(what, kind+"s "+each)
		how = append(how, fmt.Sprintf("penstock %s delete '%s*' --yes -b %s", kind, c.stem, strings.Join(c.addrs, ",")))
	}
	if c.made {
		add("topic", c.names)
	} else {
		add("topic", c.rest)
	}
	add("group", groups)
	if len(what) == 0 {
		return ""
	}
	return fmt.Sprintf("left on the broker: %s; delete them with %s", strings.Join(what, " and "), strings.Join(how, " && "))
}

// Name is the topic and partition of an index.
func (c *cluster) Name(index int) (string, int32) {
	return c.names[index/c.w.Partitions], int32(index % c.w.Partitions)
}

// Addr is where the leader of a partition listens.
func (c *cluster) Addr(index int) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.leaders[index]; a != "" {
		return a, nil
	}
	return "", kerr.LeaderNotAvailable
}

// Refresh asks where the leaders are; those who ask at the same time share one answer.
func (c *cluster) Refresh(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.asked) < 100*time.Millisecond && len(c.leaders) > 0 {
		return nil
	}
	req := kmsg.NewPtrMetadataRequest()
	for _, n := range c.names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return err
	}
	brokers := map[int32]string{}
	for _, b := range resp.Brokers {
		brokers[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	leaders := make([]string, c.w.Topics*c.w.Partitions)
	at := map[string]int{}
	for i, n := range c.names {
		at[n] = i
	}
	missing := 0
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		for _, p := range t.Partitions {
			if i, ok := at[*t.Topic]; ok && int(p.Partition) < c.w.Partitions {
				leaders[i*c.w.Partitions+int(p.Partition)] = brokers[p.Leader]
				c.replicas = len(p.Replicas)
			}
		}
	}
	for _, l := range leaders {
		if l == "" {
			missing++
		}
	}
	c.leaders, c.asked = leaders, time.Now()
	if missing > 0 {
		c.asked = time.Time{}
		return fmt.Errorf("%d of %d partitions have no leader", missing, len(leaders))
	}
	return nil
}

// target describes the broker once the topics are there.
func (c *cluster) target(ctx context.Context) (result.Target, error) {
	t := result.Target{Brokers: c.addrs, Cluster: c.id, Nodes: len(c.addrs)}
	configs, err := c.admin.DescribeTopicConfigs(ctx, c.names[0])
	if err != nil {
		return t, fmt.Errorf("ask for the topic's configuration: %w", err)
	}
	values := map[string]string{}
	for _, r := range configs {
		if r.Err != nil {
			return t, fmt.Errorf("ask for the topic's configuration: %w", r.Err)
		}
		for _, kv := range r.Configs {
			values[kv.Key] = kv.MaybeValue()
		}
	}
	if c.penstock {
		t.Software = "penstock"
		if c.w.View == workload.Cores {
			t.Shards = len(c.addrs)
		}
	} else {
		t.Software = "a Kafka broker"
		if guess := c.versions.VersionGuess(); guess != "" {
			t.Software = "Apache Kafka or alike (protocol of " + strings.TrimPrefix(guess, "v") + ")"
		}
	}
	t.Durability = durability(values, c.replicas, c.w.Acks)
	return t, nil
}

// durability is in words what an acknowledgement waited for.
func durability(config map[string]string, replicas int, acks string) string {
	if acks == "0" {
		return "acks=0: there is no acknowledgement; what was written to the connection counts"
	}
	if d, ok := config[durabilityKey]; ok {
		switch d {
		case "synced":
			return "synced: acknowledged after fdatasync, so it survives a power cut (acks=" + acks + ")"
		case "interval":
			return fmt.Sprintf("interval: acknowledged from memory, synced within flush.ms=%s, flush.messages=%s (acks=%s)", config["flush.ms"], config["flush.messages"], acks)
		}
		return "os: acknowledged from memory; survives the process, not a power cut (acks=" + acks + ")"
	}
	copies := "1 replica"
	if replicas > 1 {
		copies = fmt.Sprintf("%d replicas, min.insync.replicas=%s", replicas, config["min.insync.replicas"])
	}
	never := strconv.FormatInt(1<<63-1, 10)
	switch messages, ms := config["flush.messages"], config["flush.ms"]; {
	case messages == "1":
		return fmt.Sprintf("flush.messages=1: acknowledged after a sync by the leader (acks=%s, %s)", acks, copies)
	case messages != never && messages != "" || ms != never && ms != "":
		return fmt.Sprintf("flush.messages=%s, flush.ms=%s: acknowledged from the page cache, synced later (acks=%s, %s)", messages, ms, acks, copies)
	}
	return fmt.Sprintf("not synced: acknowledged from the page cache; a power cut may lose it (acks=%s, %s)", acks, copies)
}

// offsets lists where the partitions begin or end, by index.
func (c *cluster) offsets(ctx context.Context, ends bool) (map[int]int64, error) {
	list := c.admin.ListStartOffsets
	if ends {
		list = c.admin.ListEndOffsets
	}
	got, err := list(ctx, c.names...)
	if err == nil {
		err = got.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ask for offsets: %w", err)
	}
	out := map[int]int64{}
	for i := range c.w.Topics * c.w.Partitions {
		topic, p := c.Name(i)
		o, ok := got.Lookup(topic, p)
		if !ok {
			return nil, fmt.Errorf("the broker did not say where %s/%d is", topic, p)
		}
		out[i] = o.Offset
	}
	return out, nil
}
