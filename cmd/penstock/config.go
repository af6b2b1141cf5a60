package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sort"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/kafka"
)

// value is one setting's text and where it came from.
type value struct {
	text, origin string
}

// loadConfig layers flags over the environment over the file over the defaults. flags
// holds what was given on the command line, by setting name.
func loadConfig(file string, environ []string, flags map[string]string) (*config, map[string]value, error) {
	values := make(map[string]value, len(settings))
	for _, s := range settings {
		values[s.name] = value{s.def, "default"}
	}
	if file != "" {
		if err := readFile(file, values); err != nil {
			return nil, nil, err
		}
	}
	if err := readEnviron(environ, values); err != nil {
		return nil, nil, err
	}
	for name, v := range flags {
		values[name] = value{v, "flag"}
	}
	c := &config{Topic: map[string]string{}}
	for _, s := range settings {
		v := values[s.name]
		if v.origin == "default" && strings.HasPrefix(s.name, topicSection) {
			continue // only what is set explicitly; the rest are core's defaults
		}
		if err := s.set(c, v.text); err != nil {
			return nil, nil, fmt.Errorf("%s (%s): %w", s.name, v.origin, withoutName(err, s.name))
		}
	}
	c.Broker = brokerSettings(values)
	return c, values, c.check()
}

// brokerSettings is what DescribeConfigs shows of the broker.
func brokerSettings(values map[string]value) []kafka.BrokerSetting {
	var out []kafka.BrokerSetting
	for _, s := range settings {
		if name, ok := strings.CutPrefix(s.name, brokerSection); ok {
			t := core.TypeLong
			if s.def == "true" || s.def == "false" {
				t = core.TypeBool
			}
			out = append(out, kafka.BrokerSetting{Name: name, Value: values[s.name].text, Default: s.def, Doc: s.doc, Type: t})
		}
	}
	return out
}

// withoutName keeps the message from naming the setting twice.
func withoutName(err error, name string) error {
	short := strings.TrimPrefix(name, topicSection)
	if rest, ok := strings.CutPrefix(err.Error(), short+" "); ok {
		return fmt.Errorf("%s", rest)
	}
	return err
}

// check looks at what several settings mean together.
func (c *config) check() error {
	if _, err := core.ParseTopicConfig(core.DefaultTopicConfig(), c.Topic); err != nil {
		return fmt.Errorf("topic_defaults: %w", err)
	}
	if c.Checkpoint*3 > c.Journal {
		return fmt.Errorf("checkpoint is at most a third of journal: %s of %s is more; make journal larger", formatSize(c.Checkpoint), formatSize(c.Journal))
	}
	if !loopback(c.Admin) {
		return fmt.Errorf("admin is %s, but the admin port serves loopback only: there are no users yet", c.Admin)
	}
	if !loopback(c.Kafka) && !c.Insecure {
		return fmt.Errorf("kafka is %s, which others can reach, and nobody is authenticated yet: listen on 127.0.0.1, or say --insecure if the network is trusted", c.Kafka)
	}
	return nil
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func find(name string) *setting {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i]
		}
	}
	return nil
}

// readFile takes the keys of a YAML file. An unknown one is refused with its line and
// the nearest name.
func readFile(path string, values map[string]value) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if err := readMapping(path, "", doc.Body, values); err != nil {
			return err
		}
	}
	return nil
}

func readMapping(path, section string, n ast.Node, values map[string]value) error {
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	case *ast.NullNode:
		return nil
	default:
		return fmt.Errorf("%s:%d: here stand keys and values, not %s", path, n.GetToken().Position.Line, n.Type())
	}
	for _, p := range pairs {
		name := section + keyText(p.Key)
		at := fmt.Sprintf("%s:%d", path, p.Key.GetToken().Position.Line)
		if section == "" && (name+"/" == brokerSection || name+"/" == topicSection) {
			if err := readMapping(path, name+"/", p.Value, values); err != nil {
				return err
			}
			continue
		}
		if find(name) == nil {
			return fmt.Errorf("%s: the setting %q is not known%s", at, strings.TrimPrefix(name, section), core.DidYouMean(name, names(section)))
		}
		if _, ok := p.Value.(ast.ScalarNode); !ok {
			return fmt.Errorf("%s: %s takes one value", at, name)
		}
		values[name] = value{p.Value.GetToken().Value, at}
	}
	return nil
}

func keyText(n ast.MapKeyNode) string { return n.GetToken().Value }

// names lists the settings of a section, "" for the whole top level and the sections.
func names(section string) []string {
	var out []string
	for _, s := range settings {
		if strings.HasPrefix(s.name, section) && (section != "" || !strings.Contains(s.name, "/")) {
			out = append(out, s.name)
		}
	}
	if section == "" {
		out = append(out, strings.TrimSuffix(brokerSection, "/"), strings.TrimSuffix(topicSection, "/"))
	}
	return out
}

// envName is the variable of a setting: PENSTOCK_CORE_PORTS, and with a double
// underscore after the section PENSTOCK_BROKER__NUM_PARTITIONS.
func envName(name string) string {
	r := strings.NewReplacer("/", "__", ".", "_")
	return "PENSTOCK_" + strings.ToUpper(r.Replace(name))
}

func readEnviron(environ []string, values map[string]value) error {
	byEnv := map[string]string{}
	var known []string
	for _, s := range settings {
		byEnv[envName(s.name)] = s.name
		known = append(known, envName(s.name))
	}
	sort.Strings(environ)
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(k, "PENSTOCK_") {
			continue
		}
		name, ok := byEnv[k]
		if k == cli.BrokersVariable {
			continue // it is for the other verbs
		}
		if !ok {
			return fmt.Errorf("the environment variable %s sets nothing that is known%s", k, core.DidYouMean(k, known))
		}
		values[name] = value{v, k}
	}
	return nil
}
