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
	req.Resources = once(req.Resources, func(r *kmsg.DescribeConfigsRequestResource) string {
		return resourceKey(r.ResourceType, r.ResourceName)
	})
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
		if len(in.ConfigNames) > 0 { // none means all, as null does
			out.Configs = slices.DeleteFunc(out.Configs, func(c kmsg.DescribeConfigsResponseResourceConfig) bool {
				return !slices.Contains(in.ConfigNames, c.Name)
			})
		}
		resp.Resources = append(resp.Resources, out)
	}
	s.answer(sl, resp)
}

func (s *Session) describeTopic(out *kmsg.DescribeConfigsResponseResource, req *kmsg.DescribeConfigsRequest) {
	if !validName(out.ResourceName) {
		out.ErrorCode, out.ErrorMessage = codec.InvalidTopicException, text(core.ErrInvalidTopic.String())
		return
	}
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
	if out.ResourceName == "" {
		return // what is set for all brokers while they run: nothing can be
	}
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

// isBroker says whether name is a node of this view.
func (s *Session) isBroker(name string) bool {
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
	all := make([]alteration, len(req.Resources))
	for i := range req.Resources {
		in, out := &req.Resources[i], &resp.Resources[i]
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		all[i] = alteration{in.ResourceType, in.ResourceName, &out.ErrorCode, &out.ErrorMessage}
	}
	s.alter(sl, all, func(i int, cmd *core.Command) (int16, *string) {
		cmd.Replace, cmd.DryRun = true, req.ValidateOnly
		return replacement(cmd, &req.Resources[i])
	}, fx)
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

// replacement turns the settings of one resource into a set of values.
func replacement(cmd *core.Command, in *kmsg.AlterConfigsRequestResource) (int16, *string) {
	for i := range in.Configs {
		c := &in.Configs[i]
		if _, twice := cmd.Set[c.Name]; twice {
			return codec.InvalidRequest, text(settingTwice(c.Name))
		}
		cmd.Set[c.Name] = c.Value
	}
	return codec.NoError, nil
}

func resourceKey(kind kmsg.ConfigResourceType, name string) string {
	return strconv.Itoa(int(kind)) + name
}

func settingTwice(name string) string {
	return "the request names the setting " + name + " more than once"
}

// alteration is one resource whose settings are to be altered, and where its result goes.
type alteration struct {
	kind kmsg.ConfigResourceType
	name string
	code *int16
	why  **string
}

// alter asks for the changes that fill says, or refuses them.
func (s *Session) alter(sl *slot, all []alteration, fill func(i int, cmd *core.Command) (int16, *string), fx *session.Effects) {
	key := func(i int) string { return resourceKey(all[i].kind, all[i].name) }
	twice := repeated(len(all), key)
	for i := range all {
		a := &all[i]
		if twice[key(i)] {
			*a.code, *a.why = codec.InvalidRequest, text(namedTwice)
			continue
		}
		cmd := core.Command{Kind: core.AlterTopic, Topic: a.name, Set: map[string]*string{}, Edit: map[string]core.ListEdit{}}
		if *a.code, *a.why = fill(i, &cmd); *a.code != codec.NoError {
			continue
		}
		if a.kind != resourceTopic {
			*a.code, *a.why = codec.InvalidRequest, text("only the settings of topics can be altered while the broker runs")
			continue
		}
		t := s.expect(sl, func(c *session.Completion) { *a.code, *a.why = resultOf(c) })
		fx.Change = append(fx.Change, session.Change{Ticket: t, Command: cmd})
	}
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
	all := make([]alteration, len(req.Resources))
	for i := range req.Resources {
		in, out := &req.Resources[i], &resp.Resources[i]
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		all[i] = alteration{in.ResourceType, in.ResourceName, &out.ErrorCode, &out.ErrorMessage}
	}
	s.alter(sl, all, func(i int, cmd *core.Command) (int16, *string) {
		cmd.DryRun = req.ValidateOnly
		return operations(cmd, &req.Resources[i])
	}, fx)
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

// operations turns the operations on one resource into a set of values and edits.
func operations(cmd *core.Command, in *kmsg.IncrementalAlterConfigsRequestResource) (int16, *string) {
	for i := range in.Configs {
		c := &in.Configs[i]
		_, twice := cmd.Set[c.Name]
		if _, edited := cmd.Edit[c.Name]; twice || edited {
			return codec.InvalidRequest, text(settingTwice(c.Name))
		}
		switch {
		case c.Op == opDelete:
			cmd.Set[c.Name] = nil
		case c.Op == opSet:
			cmd.Set[c.Name] = c.Value // null is the default, too
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
