package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

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
			return nil, nil, fmt.Errorf("%s %w", place(s.name, v.origin), withoutName(err, s.name))
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

// place names a setting as it was written: --shards, PENSTOCK_SHARDS, or file:1: shards.
func place(name, origin string) string {
	switch origin {
	case "flag":
		if _, key, ok := strings.Cut(name, "/"); ok {
			return "--set " + key
		}
		return "--" + flagName(name)
	case envName(name):
		return origin
	}
	return origin + ": " + keyOf(name)
}

// keyOf is a setting's name without its section.
func keyOf(name string) string { return name[strings.Index(name, "/")+1:] }

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
		return syntaxError(path, err)
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

// syntaxError says in one line where a file is not YAML.
func syntaxError(path string, err error) error {
	var e interface {
		error
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &e) && e.GetToken() != nil && e.GetToken().Position != nil {
		return fmt.Errorf("%s:%d: bad YAML: %s", path, e.GetToken().Position.Line, e.GetMessage())
	}
	return fmt.Errorf("%s: bad YAML: %w", path, err)
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
		return fmt.Errorf("%s:%d: keys and values belong here, as in \"key: value\", not %q", path, n.GetToken().Position.Line, n.String())
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
			return fmt.Errorf("%s: the setting %q is not known%s", at, keyOf(name), hintKey(section, keyOf(name)))
		}
		if _, ok := p.Value.(ast.ScalarNode); !ok || p.Value.Type() == ast.NullType {
			return fmt.Errorf("%s: %s takes one value", at, keyOf(name))
		}
		values[name] = value{p.Value.GetToken().Value, at}
	}
	return nil
}

// hintKey says of an unknown key where it belongs, or which one is near.
func hintKey(section, key string) string {
	for _, other := range []string{"", brokerSection, topicSection} {
		switch {
		case other == section || find(other+key) == nil:
		case other == "":
			return "; it belongs on the top level"
		default:
			return "; it belongs under " + strings.TrimSuffix(other, "/") + ":"
		}
	}
	known := names(section)
	for i := range known {
		known[i] = keyOf(known[i])
	}
	return cli.Hint(key, known, "penstock serve --help lists the settings")
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

// hintVariable is the nearest variable: the one with its section, if only that is missing.
func hintVariable(k string, known []string) string {
	for _, section := range []string{brokerSection, topicSection} {
		if full := envName(section) + strings.TrimPrefix(k, "PENSTOCK_"); slices.Contains(known, full) {
			return "; did you mean " + full + "?"
		}
	}
	return cli.Hint(k, known, "penstock serve --help lists the settings")
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
			return fmt.Errorf("the environment variable %s sets nothing that is known%s", k, hintVariable(k, known))
		}
		values[name] = value{v, k}
	}
	return nil
}
