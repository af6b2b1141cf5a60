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

// value is one setting's text and where it came from: line is 0 unless that is the file.
type value struct {
	text, origin string
	line         int
}

// faults are all that is wrong with a configuration, one line each: those of the file in the
// order of its lines, then the others.
type faults []fault

type fault struct {
	line int // of the file; 0 is elsewhere
	err  error
}

func (f faults) Error() string {
	var lines []string
	for _, one := range f {
		lines = append(lines, one.err.Error())
	}
	return strings.Join(lines, "\n")
}

// add takes an error, several that are joined as several.
func (f *faults) add(line int, err error) {
	var all interface{ Unwrap() []error }
	switch {
	case err == nil:
	case errors.As(err, &all):
		for _, e := range all.Unwrap() {
			f.add(line, e)
		}
	default:
		*f = append(*f, fault{line, err})
	}
}

// orNil is the faults as an error, in order.
func (f faults) orNil() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b fault) int {
		if a.line == 0 || b.line == 0 {
			return b.line - a.line
		}
		return a.line - b.line
	})
	return f
}

// loadConfig layers flags over the environment over the file over the defaults. flags
// holds what was given on the command line, by setting name. The error is of type faults,
// unless the file cannot be read at all.
func loadConfig(file string, environ []string, flags map[string]string) (*config, map[string]value, error) {
	values := make(map[string]value, len(settings))
	for _, s := range settings {
		values[s.name] = value{text: s.def, origin: "default"}
	}
	var wrong faults
	if file != "" {
		if err := readFile(file, values, &wrong); err != nil {
			return nil, nil, err
		}
	}
	wrong.add(0, readEnviron(environ, values))
	for name, v := range flags {
		values[name] = value{text: v, origin: "flag"}
	}
	c := &config{Topic: map[string]string{}}
	for _, s := range settings {
		v := values[s.name]
		if v.origin == "default" && strings.HasPrefix(s.name, topicSection) {
			continue // only what is set explicitly; the rest are core's defaults
		}
		if err := s.set(c, v.text); err != nil {
			wrong.add(v.line, fmt.Errorf("%s %w", place(s.name, v.origin), withoutName(err, s.name)))
			// What is looked at together shall not fail for the same again.
			if delete(c.Topic, keyOf(s.name)); !strings.HasPrefix(s.name, topicSection) {
				core.Assert(s.set(c, s.def) == nil, "a default is not valid")
			}
		}
	}
	wrong.add(0, c.check())
	if err := wrong.orNil(); err != nil {
		return nil, nil, err
	}
	c.Broker = brokerSettings(values)
	return c, values, nil
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
	var wrong []error
	if _, err := core.ParseTopicConfig(core.DefaultTopicConfig(), c.Topic); err != nil {
		wrong = append(wrong, fmt.Errorf("topic_defaults: %w", err))
	}
	if c.Checkpoint*3 > c.Journal {
		wrong = append(wrong, fmt.Errorf("checkpoint is at most a third of journal: %s of %s is more; make journal larger", formatSize(c.Checkpoint), formatSize(c.Journal)))
	}
	if !loopback(c.Admin) {
		wrong = append(wrong, fmt.Errorf("admin is %s, but the admin port serves loopback only: there are no users yet", c.Admin))
	}
	if !loopback(c.Kafka) && !c.Insecure {
		wrong = append(wrong, fmt.Errorf("kafka is %s, which others can reach, and nobody is authenticated yet: listen on 127.0.0.1, or say --insecure if the network is trusted", c.Kafka))
	}
	return errors.Join(wrong...)
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

// readFile takes the keys of a YAML file. An unknown one is a fault with its line and the
// nearest name; a file that is not YAML is an error.
func readFile(path string, values map[string]value, wrong *faults) error {
	b, err := os.ReadFile(path)
	if err != nil {
		hint := ""
		if errors.Is(err, os.ErrNotExist) {
			hint = "; penstock config init " + path + " writes one"
		}
		return fmt.Errorf("read the configuration: %w%s", err, hint)
	}
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		return syntaxError(path, err)
	}
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		readMapping(path, "", doc.Body, values, wrong)
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

func readMapping(path, section string, n ast.Node, values map[string]value, wrong *faults) {
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	case *ast.NullNode:
	default:
		line := n.GetToken().Position.Line
		text, _, _ := strings.Cut(n.String(), "\n")
		wrong.add(line, fmt.Errorf("%s:%d: keys and values belong here, as in \"key: value\", not %q", path, line, text))
	}
	for _, p := range pairs {
		name := section + keyText(p.Key)
		line := p.Key.GetToken().Position.Line
		at := fmt.Sprintf("%s:%d", path, line)
		scalar, isScalar := p.Value.(ast.ScalarNode)
		switch {
		case section == "" && (name+"/" == brokerSection || name+"/" == topicSection):
			readMapping(path, name+"/", p.Value, values, wrong)
		case find(name) == nil:
			wrong.add(line, fmt.Errorf("%s: the setting %q is not known%s", at, keyOf(name), hintKey(section, keyOf(name))))
		case !isScalar || p.Value.Type() == ast.NullType:
			wrong.add(line, fmt.Errorf("%s: %s takes one value", at, keyOf(name)))
		default:
			values[name] = value{scalar.GetToken().Value, at, line}
		}
	}
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
	var wrong []error
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
			wrong = append(wrong, fmt.Errorf("the environment variable %s sets nothing that is known%s", k, hintVariable(k, known)))
			continue
		}
		values[name] = value{text: v, origin: k}
	}
	return errors.Join(wrong...)
}
