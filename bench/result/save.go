package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock/penstock/core"
)

// Kinds are the forms in which a result can be saved.
var Kinds = []string{"json", "hlog", "csv", "html", "omb"}

// extension is what the file of a kind ends with. Only results end in .json alone.
func extension(kind string) string {
	if kind == "omb" {
		return ".omb.json"
	}
	return "." + kind
}

// Encode writes a finished result in the form of one kind.
func (r *Result) Encode(kind string) ([]byte, error) {
	var b bytes.Buffer
	var err error
	switch kind {
	case "json":
		err = writeIndented(&b, r)
	case "hlog":
		err = r.writeLog(&b)
	case "csv":
		err = r.writeCSV(&b)
	case "html":
		err = r.writePage(&b)
	case "omb":
		err = r.writeOMB(&b)
	default:
		err = fmt.Errorf("there is no form %q of a result%s (there are %s)", kind, core.DidYouMean(kind, Kinds), strings.Join(Kinds, ", "))
	}
	if err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Save writes a finished result into dir, one file per kind, and returns their paths.
func (r *Result) Save(dir string, kinds ...string) (paths []string, err error) {
	return r.SaveAs(filepath.Join(dir, r.FileName()), kinds...)
}

// SaveAs is Save with the path of the files without what they end with.
func (r *Result) SaveAs(stem string, kinds ...string) (paths []string, err error) {
	if err := os.MkdirAll(filepath.Dir(stem), 0o755); err != nil {
		return nil, fmt.Errorf("save the result: %w", err)
	}
	for _, k := range kinds {
		b, err := r.Encode(k)
		if err != nil {
			return paths, err
		}
		path := stem + extension(k)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return paths, fmt.Errorf("save the result: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// FileName is what a result's files begin with: when it began and what it ran.
func (r *Result) FileName() string {
	name := r.Workload.Name
	if name == "" {
		name = r.Workload.Kind
	}
	name = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' {
			return c
		}
		return '-'
	}, name)
	return r.Started.UTC().Format("2006-01-02T15-04-05.000") + "-" + strings.TrimLeft(name, ".")
}

func writeIndented(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Load reads a result from its JSON file, with its histograms.
func Load(path string) (*Result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a result: %w", err)
	}
	r, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s is not a result of penstock bench: %w", path, err)
	}
	return r, nil
}

func decode(b []byte) (*Result, error) {
	r := new(Result)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var v struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	switch {
	case v.Schema == 0:
		return nil, errors.New(`it has no "schema"; save one with penstock bench … -o or --save json`)
	case v.Schema != Schema:
		return nil, fmt.Errorf("its schema is %d and this version reads %d: use the version that wrote it", v.Schema, Schema)
	}
	if err := d.Decode(r); err != nil {
		return nil, err
	}
	for i := range r.Latencies {
		l := &r.Latencies[i]
		h, err := hdrhistogram.Decode([]byte(l.Data))
		if err != nil {
			return nil, fmt.Errorf("the histogram of its %s latency: %w", l.Name, err)
		}
		l.Hist = h
	}
	return r, nil
}
