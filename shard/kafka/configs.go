package kafka

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// Kinds of resources with settings.
const (
	resourceTopic  = 2
	resourceBroker = 4
)

// DescribeConfigs (32), versions 1 to 4: of topics and brokers, with source, synonyms,
// type and documentation. Only what is honoured is listed.
func (s *Session) onDescribeConfigs(sl *slot, h *codec.Header) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrDescribeConfigsResponse()
	for i := range req.Resources {
		in := &req.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		switch in.ResourceType {
		case resourceTopic:
			s.describeTopic(&out, req)
		case resourceBroker:
			s.describeBroker(&out, req)
		default:
			out.ErrorCode, out.ErrorMessage = codec.InvalidRequest, text("only topics and brokers have settings here")
		}
		if in.ConfigNames != nil {
			out.Configs = slices.DeleteFunc(out.Configs, func(c kmsg.DescribeConfigsResponseResourceConfig) bool {
				return !slices.Contains(in.ConfigNames, c.Name)
			})
		}
		resp.Resources = append(resp.Resources, out)
	}
	s.answer(sl, resp)
}

func (s *Session) describeTopic(out *kmsg.DescribeConfigsResponseResource, req *kmsg.DescribeConfigsRequest) {
	t := s.host.Catalog().Topic(out.ResourceName)
	if t == nil {
		out.ErrorCode, out.ErrorMessage = codec.UnknownTopicOrPartition, text(core.ErrUnknownTopic.String())
		return
	}
	builtin := core.DefaultTopicConfig()
	for _, k := range core.TopicKeys() {
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		source := s.sourceOf(t, k.Name)
		c.Name, c.Value, c.Source = k.Name, text(t.Config.Value(k.Name)), kmsg.ConfigSource(source)
		c.IsDefault, c.ConfigType = source != sourceTopic, kmsg.ConfigType(k.Type)
		if req.IncludeDocumentation {
			c.Documentation = text(k.Doc)
		}
		if req.IncludeSynonyms {
			if source == sourceTopic {
				c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(k.Name, *c.Value, sourceTopic))
			}
			if s.brokerSets(k.Name) {
				c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(k.Name, s.opt.Defaults.Value(k.Name), sourceBroker))
			}
			c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(k.Name, builtin.Value(k.Name), sourceDefault))
		}
		out.Configs = append(out.Configs, c)
	}
}

func (s *Session) describeBroker(out *kmsg.DescribeConfigsResponseResource, req *kmsg.DescribeConfigsRequest) {
	if !s.isBroker(out.ResourceName) {
		out.ErrorCode, out.ErrorMessage = codec.InvalidRequest, text("there is no broker "+out.ResourceName)
		return
	}
	for _, b := range s.opt.Broker {
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		source := int8(sourceBroker)
		if b.Value == b.Default {
			source = sourceDefault
		}
		c.Name, c.Value, c.Source, c.ReadOnly = b.Name, text(b.Value), kmsg.ConfigSource(source), true
		c.IsDefault, c.ConfigType = source == sourceDefault, kmsg.ConfigType(b.Type)
		if req.IncludeDocumentation {
			c.Documentation = text(b.Doc)
		}
		if req.IncludeSynonyms {
			if source == sourceBroker {
				c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(b.Name, b.Value, sourceBroker))
			}
			c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(b.Name, b.Default, sourceDefault))
		}
		out.Configs = append(out.Configs, c)
	}
}

// isBroker says whether name is a node of this view; "" means all of them.
func (s *Session) isBroker(name string) bool {
	if name == "" {
		return true
	}
	for _, b := range s.brokers() {
		if strconv.Itoa(int(b.node)) == name {
			return true
		}
	}
	return false
}

func synonym(name, value string, source int8) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	c := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	c.Name, c.Value, c.Source = name, &value, kmsg.ConfigSource(source)
	return c
}

// AlterConfigs (33), versions 0 to 2: the whole configuration of a topic is replaced.
// Settings of brokers cannot be altered while they run.
func (s *Session) onAlterConfigs(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrAlterConfigsRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrAlterConfigsResponse()
	resp.Resources = make([]kmsg.AlterConfigsResponseResource, len(req.Resources))
	twice := repeated(len(req.Resources), func(i int) string { return resourceKey(req.Resources[i].ResourceType, req.Resources[i].ResourceName) })
	for i := range req.Resources {
		in, out := &req.Resources[i], &resp.Resources[i]
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		if twice[resourceKey(in.ResourceType, in.ResourceName)] {
			out.ErrorCode, out.ErrorMessage = codec.InvalidRequest, text(namedTwice)
			continue
		}
		cmd := core.Command{Kind: core.AlterTopic, Topic: in.ResourceName, Set: map[string]*string{}, Replace: true, DryRun: req.ValidateOnly}
		for k := range in.Configs {
			cmd.Set[in.Configs[k].Name] = in.Configs[k].Value
		}
		s.alter(sl, in.ResourceType, cmd, &out.ErrorCode, &out.ErrorMessage, fx)
	}
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

func resourceKey(kind kmsg.ConfigResourceType, name string) string {
	return strconv.Itoa(int(kind)) + name
}

// alter asks for the change of one resource.
func (s *Session) alter(sl *slot, kind kmsg.ConfigResourceType, cmd core.Command, code *int16, why **string, fx *session.Effects) {
	if kind != resourceTopic {
		*code, *why = codec.InvalidRequest, text("only the settings of topics can be altered while the broker runs")
		return
	}
	t := s.expect(sl, func(c *session.Completion) { *code, *why = resultOf(c) })
	fx.Change = append(fx.Change, session.Change{Ticket: t, Command: cmd})
}

// Operations of IncrementalAlterConfigs.
const (
	opSet = iota
	opDelete
	opAppend
	opSubtract
)

// IncrementalAlterConfigs (44), versions 0 and 1: set, delete, and append and subtract
// on settings that are lists, which the catalog's writer edits as they are when it decides.
// Null, as for delete, goes back to the default.
func (s *Session) onIncrementalAlterConfigs(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	resp.Resources = make([]kmsg.IncrementalAlterConfigsResponseResource, len(req.Resources))
	twice := repeated(len(req.Resources), func(i int) string { return resourceKey(req.Resources[i].ResourceType, req.Resources[i].ResourceName) })
	for i := range req.Resources {
		in, out := &req.Resources[i], &resp.Resources[i]
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		if twice[resourceKey(in.ResourceType, in.ResourceName)] {
			out.ErrorCode, out.ErrorMessage = codec.InvalidRequest, text(namedTwice)
			continue
		}
		cmd := core.Command{Kind: core.AlterTopic, Topic: in.ResourceName, Set: map[string]*string{}, Edit: map[string]core.ListEdit{}, DryRun: req.ValidateOnly}
		if out.ErrorCode, out.ErrorMessage = operations(&cmd, in); out.ErrorCode == codec.NoError {
			s.alter(sl, in.ResourceType, cmd, &out.ErrorCode, &out.ErrorMessage, fx)
		}
	}
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

// operations turns the operations on one resource into a set of values and edits.
func operations(cmd *core.Command, in *kmsg.IncrementalAlterConfigsRequestResource) (int16, *string) {
	for i := range in.Configs {
		c := &in.Configs[i]
		_, twice := cmd.Set[c.Name]
		if _, edited := cmd.Edit[c.Name]; twice || edited {
			return codec.InvalidRequest, text("the request names the setting " + c.Name + " more than once")
		}
		switch {
		case c.Op == opDelete || c.Op == opSet && c.Value == nil:
			cmd.Set[c.Name] = nil
		case c.Op == opSet:
			cmd.Set[c.Name] = c.Value
		case c.Op != opAppend && c.Op != opSubtract:
			return codec.InvalidRequest, text("there is no such operation on a setting")
		case !isList(c.Name):
			return codec.InvalidConfig, text("the setting " + c.Name + " is not a list: append and subtract do not apply")
		case c.Value == nil:
			return codec.InvalidRequest, text("the operation on " + c.Name + " has no value")
		default:
			cmd.Edit[c.Name] = core.ListEdit{Elements: *c.Value, Remove: c.Op == opSubtract}
		}
	}
	return codec.NoError, nil
}

func isList(key string) bool {
	for _, k := range core.TopicKeys() {
		if k.Name == key {
			return k.Type == core.TypeList
		}
	}
	return false
}
