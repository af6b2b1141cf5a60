package kafka

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	codec "github.com/penstock/penstock/codec/kafka"
)

// The document names a test for each thing that breaks real clients: they must be there.
func TestTheDocumentNamesTestsThatExist(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocols/kafka.md")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return fs.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			src, err := os.ReadFile(path)
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllSubmatch(src, -1) {
				have[string(m[1])] = true
			}
			return err
		case strings.HasSuffix(path, ".txt") && strings.HasSuffix(filepath.Dir(path), "group/testdata"):
			have["TestConversations/"+strings.TrimSuffix(filepath.Base(path), ".txt")] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[\\w/-]+)`").FindAllSubmatch(doc, -1)
	for _, m := range named {
		if !have[string(m[1])] {
			t.Errorf("there is no %s", m[1])
		}
	}
	if len(named) < 80 {
		t.Errorf("only %d tests are named", len(named))
	}
}

// What the document says is served is what is.
func TestTheDocumentNamesTheVersionsThatAreServed(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocols/kafka.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, line := range strings.Split(string(doc), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		names, versions := strings.Split(cells[1], ","), strings.Split(cells[2], ",")
		for i := range names {
			if name := strings.TrimSpace(names[i]); len(names) == len(versions) && said[name] == "" {
				version, _, _ := strings.Cut(strings.TrimSpace(versions[i]), " ")
				said[name] = version
			}
		}
	}
	for i := range codec.Versions {
		r := &codec.Versions[i]
		want := fmt.Sprint(r.Min, "-", r.Max)
		if r.Min == r.Max {
			want = fmt.Sprint(r.Min)
		}
		if said[r.Name] != want {
			t.Errorf("%s is served %s; the document says %q", r.Name, want, said[r.Name])
		}
	}
}
