package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/penstock/penstock/bench/workloads"
	"github.com/penstock/penstock/core"
)

// Find reads a workload: one of ours by its name, or a file. The notes say what of the
// file the run will not do as it is written there.
func Find(name string) (w Workload, notes []string, err error) {
	b, err := workloads.Files.ReadFile(name + ".yaml")
	path := name
	if err == nil {
		path = ""
		name += ".yaml"
	} else if b, err = os.ReadFile(name); err != nil {
		if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, "/.") {
			return w, nil, fmt.Errorf("there is no workload %q, and no such file%s", name, core.DidYouMean(name, Names()))
		}
		return w, nil, fmt.Errorf("read the workload: %w", err)
	}
	return Parse(b, name, filepath.Dir(path))
}

// Names are the workloads that Find knows without a file.
func Names() []string {
	var out []string
	entries, _ := workloads.Files.ReadDir(".") // it is part of the binary
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	sort.Strings(out)
	return out
}

// entry is one key of a file.
type entry struct {
	key, value string
	line       int
	node       ast.Node
}

// Parse reads a workload as YAML, ours or one of OpenMessaging Benchmark, which is told
// by its keys. file is for the errors, dir is where a payload file is looked for.
func Parse(b []byte, file, dir string) (w Workload, notes []string, err error) {
	entries, err := mapping(b)
	if err != nil {
		return w, nil, fmt.Errorf("%s: %w", file, err)
	}
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if isOMB(entries) {
		w, notes, err = omb(entries, base)
	} else {
		w, err = ours(entries, base)
	}
	if err != nil {
		return w, notes, fmt.Errorf("%s:%w", file, err)
	}
	if w.Payload != Random && !filepath.IsAbs(w.Payload) {
		if p := filepath.Join(dir, w.Payload); exists(p) {
			w.Payload = p
		}
	}
	if err := w.Check(); err != nil {
		return w, notes, fmt.Errorf("%s: %w", file, err)
	}
	return w, notes, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// mapping reads the top level of a file, which must be keys with scalars; topic_configs
// alone is a mapping itself.
func mapping(b []byte) ([]entry, error) {
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		return nil, err
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return nil, errors.New("a workload is one document of keys and values; this holds none, or more")
	}
	return pairs(f.Docs[0].Body)
}

func pairs(n ast.Node) ([]entry, error) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return nil, fmt.Errorf("%d: keys and values are wanted here", n.GetToken().Position.Line)
	}
	var out []entry
	seen := map[string]bool{}
	for _, v := range values {
		e := entry{key: v.Key.GetToken().Value, line: v.Key.GetToken().Position.Line, node: v.Value}
		if seen[e.key] {
			return nil, fmt.Errorf("%d: %s is there twice", e.line, e.key)
		}
		seen[e.key] = true
		switch s := v.Value.(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
		case *ast.NullNode:
		case *ast.LiteralNode:
			e.value = strings.TrimSpace(s.Value.Value)
		case ast.ScalarNode:
			e.value = s.GetToken().Value
		default:
			return nil, fmt.Errorf("%d: %s wants one value", e.line, e.key)
		}
		out = append(out, e)
	}
	return out, nil
}

func ours(entries []entry, name string) (w Workload, err error) {
	for _, e := range entries {
		if e.key == "kind" {
			w.Kind = e.value
		}
	}
	w = New(w.Kind)
	w.Name = name
	for _, e := range entries {
		if e.key == configsKey {
			if w.Configs, err = configs(e); err != nil {
				return w, err
			}
			continue
		}
		f, err := field(e.key)
		if err != nil {
			return w, fmt.Errorf("%d: %w", e.line, err)
		}
		if _, nested := e.node.(*ast.MappingNode); nested {
			return w, fmt.Errorf("%d: %s wants one value", e.line, e.key)
		}
		if err := f.Set(&w, e.value); err != nil {
			return w, fmt.Errorf("%d: %s: %w", e.line, e.key, err)
		}
	}
	return w, nil
}

func configs(e entry) (Config, error) {
	in, err := pairs(e.node)
	if err != nil {
		return nil, err
	}
	out := Config{}
	for _, c := range in {
		out[c.key] = c.value
	}
	return out, nil
}

// Digest reads the payload file, if there is one, and sets PayloadSHA.
func (w *Workload) Digest() error {
	if w.Payload == Random {
		return nil
	}
	b, err := os.ReadFile(w.Payload)
	if err != nil {
		return fmt.Errorf("read the payload: %w", err)
	}
	sum := sha256.Sum256(b)
	w.PayloadSHA = hex.EncodeToString(sum[:])
	return nil
}
