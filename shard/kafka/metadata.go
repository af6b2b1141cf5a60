package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// notAsked is what authorized operations are when nobody asked. Who asks may do all that
// there is, as in a Kafka without an authorizer (bits of AclOperation).
const (
	notAsked          = -2147483648
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11 // read to describe, and settings
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12       // create, alter to settings, idempotent write
)

// Metadata (3), versions 0 to 13. Topics by name or, from 12 on, by id, in the view of the
// listener; each once, however often it is named: a small request may not have an answer
// without bound. A topic that does not exist is made if the request and the broker allow
// it, and the answer waits for it.
func (s *Session) onMetadata(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrMetadataRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrMetadataResponse()
	if req.Topics == nil || h.Version == 0 && len(req.Topics) == 0 {
		for _, t := range s.host.Catalog().Topics {
			resp.Topics = append(resp.Topics, s.topicMetadata(t))
		}
		s.answerMetadata(sl, req, resp)
		return
	}
	create := s.opt.AutoCreate && (h.Version < 4 || req.AllowAutoTopicCreation)
	req.Topics = once(req.Topics, func(t *kmsg.MetadataRequestTopic) string { return string(t.TopicID[:]) + nameOf(t) })
	resp.Topics = make([]kmsg.MetadataResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t := &req.Topics[i]
		out := &resp.Topics[i]
		id, name := core.TopicID(t.TopicID), nameOf(t)
		found := s.host.Catalog().Topic(name)
		switch {
		case h.Version < 12 && (!id.IsZero() || t.Topic == nil): // these versions have ids, but do not ask by them
			*out = missingTopic(name, codec.InvalidRequest)
		case !id.IsZero():
			*out = s.metadataByID(id)
		case found != nil:
			*out = s.topicMetadata(found)
		case !validName(name):
			*out = missingTopic(name, codec.InvalidTopicException)
		case !create:
			*out = missingTopic(name, codec.UnknownTopicOrPartition)
		default:
			s.autoCreate(sl, name, out, fx)
		}
	}
	s.whenDone(sl, func(sl *slot) { s.answerMetadata(sl, req, resp) })
}

func nameOf(t *kmsg.MetadataRequestTopic) string {
	if t.Topic == nil {
		return ""
	}
	return *t.Topic
}

// once drops what a request names again.
func once[T any](list []T, name func(e *T) string) []T {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(list, func(e T) bool {
		key := name(&e)
		if seen[key] {
			return true
		}
		seen[key] = true
		return false
	})
}

func (s *Session) autoCreate(sl *slot, name string, out *kmsg.MetadataResponseTopic, fx *session.Effects) {
	t := s.expect(sl, func(c *session.Completion) {
		if found := s.host.Catalog().Topic(name); found != nil {
			*out = s.topicMetadata(found)
			return
		}
		code, _ := resultOf(c)
		if code == codec.NoError || code == codec.TopicAlreadyExists {
			code = codec.LeaderNotAvailable
		}
		*out = missingTopic(name, code)
	})
	fx.Change = append(fx.Change, session.Change{Ticket: t, Command: core.Command{Kind: core.CreateTopic, Topic: name, Partitions: -1}})
}

func (s *Session) answerMetadata(sl *slot, req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) {
	for _, b := range s.brokers() {
		n := kmsg.NewMetadataResponseBroker()
		n.NodeID, n.Host, n.Port, n.Rack = int32(b.node), b.host, b.port, s.rack()
		resp.Brokers = append(resp.Brokers, n)
	}
	resp.ClusterID = text(s.host.Cluster().ID)
	resp.ControllerID = int32(s.controller())
	resp.AuthorizedOperations = notAsked
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	for i := range resp.Topics {
		if t := &resp.Topics[i]; req.IncludeTopicAuthorizedOperations && t.ErrorCode == codec.NoError {
			t.AuthorizedOperations = topicOperations
		}
	}
	s.answer(sl, resp)
}

func (s *Session) metadataByID(id core.TopicID) kmsg.MetadataResponseTopic {
	if t := s.host.Catalog().TopicByID(id); t != nil {
		return s.topicMetadata(t)
	}
	out := kmsg.NewMetadataResponseTopic()
	out.ErrorCode, out.TopicID, out.AuthorizedOperations = codec.UnknownTopicID, id, notAsked
	return out
}

func missingTopic(name string, code int16) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.ErrorCode, out.Topic, out.AuthorizedOperations = code, &name, notAsked
	return out
}

func (s *Session) topicMetadata(t *core.Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal, out.AuthorizedOperations = text(t.Name), t.ID, t.Internal, notAsked
	epoch := s.host.Catalog().Starts
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	nodes := make([]int32, len(t.Partitions))
	for i, owner := range t.Partitions {
		p := kmsg.NewMetadataResponseTopicPartition()
		nodes[i] = int32(s.node(owner))
		replicas := nodes[i : i+1 : i+1]
		p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR = int32(i), nodes[i], int32(epoch), replicas, replicas
		out.Partitions[i] = p
	}
	return out
}

// resultOf is how the answer to a command is told, with a text for people.
func resultOf(c *session.Completion) (code int16, why *string) {
	if c.Outcome == core.Done && c.Result != nil {
		if c.Result.Code == core.OK {
			return codec.NoError, nil
		}
		msg := c.Result.Text
		if msg == "" {
			msg = c.Result.Code.String()
		}
		return codec.Errno(c.Result.Code), &msg
	}
	code = errnoOf(c)
	if c.Outcome == core.Refused {
		if c.Result != nil && c.Result.Text != "" {
			return code, text(c.Result.Text)
		}
		return code, text(c.Code.String())
	}
	return code, nil
}
