package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// CreateTopics (19), versions 2 to 7. Partitions and replication factor -1 are the
// defaults; a replication factor other than 1 is refused, and so is an assignment that
// says anything else than what is so anyway. Settings that are not honoured are
// INVALID_CONFIG. From version 5 on the answer holds the topic's settings.
func (s *Session) onCreateTopics(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrCreateTopicsRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrCreateTopicsResponse()
	resp.Topics = make([]kmsg.CreateTopicsResponseTopic, len(req.Topics))
	twice := repeated(len(req.Topics), func(i int) string { return req.Topics[i].Topic })
	for i := range req.Topics {
		in, out := &req.Topics[i], &resp.Topics[i]
		*out = kmsg.NewCreateTopicsResponseTopic()
		out.Topic, out.NumPartitions, out.ReplicationFactor, out.Configs = in.Topic, -1, -1, []kmsg.CreateTopicsResponseTopicConfig{}
		cmd, code, why := s.createCommand(in)
		if twice[in.Topic] {
			code, why = codec.InvalidRequest, namedTwice
		}
		if code != codec.NoError {
			out.ErrorCode, out.ErrorMessage = code, &why
			continue
		}
		cmd.DryRun = req.ValidateOnly
		t := s.expect(sl, func(c *session.Completion) {
			if out.ErrorCode, out.ErrorMessage = resultOf(c); out.ErrorCode == codec.NoError {
				s.describeCreated(out, c.Result.Topic)
			}
		})
		fx.Change = append(fx.Change, session.Change{Ticket: t, Command: cmd})
	}
	s.within(sl, req.TimeoutMillis)
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

const namedTwice = "the request names this more than once"

// repeated is which of n names occur more than once: Kafka does nothing with those.
func repeated(n int, name func(i int) string) map[string]bool {
	seen, twice := map[string]bool{}, map[string]bool{}
	for i := range n {
		s := name(i)
		if seen[s] {
			twice[s] = true
		}
		seen[s] = true
	}
	return twice
}

// createCommand checks what the catalog does not know about: replicas.
func (s *Session) createCommand(in *kmsg.CreateTopicsRequestTopic) (cmd core.Command, code int16, why string) {
	cmd = core.Command{Kind: core.CreateTopic, Topic: in.Topic, Partitions: in.NumPartitions, Set: map[string]*string{}}
	if !validName(in.Topic) {
		return cmd, codec.InvalidTopicException, core.ErrInvalidTopic.String()
	}
	if n := len(in.ReplicaAssignment); n > 0 {
		if in.NumPartitions != -1 || in.ReplicationFactor != -1 {
			return cmd, codec.InvalidRequest, "an assignment excludes a number of partitions and a replication factor"
		}
		assigned := make([]bool, n)
		for i := range in.ReplicaAssignment {
			a := &in.ReplicaAssignment[i]
			if a.Partition < 0 || int(a.Partition) >= n || assigned[a.Partition] || !s.assignable(a.Replicas) {
				return cmd, codec.InvalidReplicaAssignment, notAssignable
			}
			assigned[a.Partition] = true
		}
		cmd.Partitions = int32(n)
	} else if in.ReplicationFactor != 1 && in.ReplicationFactor != -1 {
		return cmd, codec.InvalidReplicationFactor, core.ErrInvalidReplication.String()
	}
	for i := range in.Configs {
		c := &in.Configs[i]
		if _, twice := cmd.Set[c.Name]; twice {
			return cmd, codec.InvalidRequest, settingTwice(c.Name)
		}
		if c.Value == nil {
			return cmd, codec.InvalidConfig, "the setting " + c.Name + " has no value"
		}
		cmd.Set[c.Name] = c.Value
	}
	return cmd, codec.NoError, ""
}

// notAssignable says what an assignment of replicas may be.
const notAssignable = "partitions are placed by the broker: an assignment may only name its one node, once for each new partition"

// assignable says whether an assignment of one partition says what is so anyway: that it
// has one replica, on the only broker that this view has. Where a view has several, the
// catalog's writer chooses among them.
func (s *Session) assignable(replicas []int32) bool {
	return s.cores() <= 1 && len(replicas) == 1 && replicas[0] == int32(s.node(0))
}

func (s *Session) describeCreated(out *kmsg.CreateTopicsResponseTopic, t *core.Topic) {
	if t == nil {
		return
	}
	out.TopicID, out.NumPartitions, out.ReplicationFactor = t.ID, int32(len(t.Partitions)), 1
	for _, k := range core.TopicKeys() {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.Source = k.Name, text(t.Config.Value(k.Name)), s.sourceOf(t, k.Name)
		out.Configs = append(out.Configs, c)
	}
}

// Sources of a setting, by Kafka's numbers.
const (
	sourceTopic   = 1
	sourceBroker  = 4 // STATIC_BROKER_CONFIG
	sourceDefault = 5
)

// sourceOf says where a topic's setting comes from. One that follows from another of the
// topic's, or from what the topic is for, is the topic's too.
func (s *Session) sourceOf(t *core.Topic, key string) int8 {
	if _, ok := t.Set[key]; ok || t.Config.Value(key) != s.opt.Defaults.Value(key) {
		return sourceTopic
	}
	if s.brokerSets(key) {
		return sourceBroker
	}
	return sourceDefault
}

// brokerSets says whether the broker's own default differs from Kafka's.
func (s *Session) brokerSets(key string) bool {
	builtin := core.DefaultTopicConfig()
	return s.opt.Defaults.Value(key) != builtin.Value(key)
}
