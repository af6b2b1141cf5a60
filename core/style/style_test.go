// Package style holds the rules of the code as an ordinary test: who may import whom,
// how long a file and a function may be, and which calls belong to few places only.
package style

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/penstock/penstock/"

// mayImport is the map of the code, lowest first: which packages of ours a package may
// import. The longest matching prefix of the package's path counts.
var mayImport = []struct {
	pkg  string
	from []string
}{
	{"core", nil},
	{"codec/batch", []string{"core"}},
	{"codec/", []string{"core", "codec/batch"}},
	{"segment", []string{"core", "codec/batch", "segment"}},
	{"shard", []string{"core", "codec", "segment", "shard/session"}},
	{"shard/session", []string{"core", "codec/batch"}},
	{"shard/meta", []string{"core", "segment"}},
	{"shard/kafka", []string{"core", "codec/kafka", "codec/batch", "shard/session"}},
	{"shard/sim", []string{"core", "codec", "segment", "shard"}},
	{"netio", []string{"core"}},
	{"bench", []string{"core", "codec", "bench", "perf"}},
	{"perf", []string{"core"}},
	{"cmd", []string{""}},
}

// gnet is behind netio, and in the bench's floor, which measures what gnet itself costs.
var onlyIn = map[string][]string{
	"github.com/panjf2000/gnet/v2": {"netio", "bench/floor"},
}

// banned calls belong to the places named: everything else takes time from core.Env,
// files from segment.FS and sockets from netio.
var banned = map[string][]string{
	"time.Now":            {"core/clock.go", "netio", "cmd", "bench", "perf", "segment/powercut"},
	"time.Sleep":          {"cmd", "bench", "perf", "segment/powercut"},
	"time.After":          {"cmd", "bench", "perf", "netio"},
	"os.Open":             {"segment/fs_os.go", "cmd", "bench", "perf", "segment/powercut"},
	"os.OpenFile":         {"segment/fs_os.go", "segment/lock.go", "cmd", "bench", "perf", "segment/powercut"},
	"os.Create":           {"segment/fs_os.go", "cmd", "bench", "perf", "segment/powercut"},
	"os.ReadFile":         {"segment/fs_os.go", "segment/lock.go", "cmd", "bench", "perf", "segment/powercut"},
	"os.WriteFile":        {"segment/fs_os.go", "cmd", "bench", "perf", "segment/powercut"},
	"unix.RawSyscall":     {},
	"syscall.RawSyscall":  {},
	"unix.RawSyscall6":    {},
	"syscall.RawSyscall6": {},
}

const (
	fileLinesMax = 600
	funcLinesMax = 70
)

func TestStyle(t *testing.T) {
	root := "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(path, root+"/"))
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && path != root || rel == "cmd/wire" || rel == "data" || rel == "bin" {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(rel, ".go") {
			checkFile(t, path, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, path, rel string) {
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	test := strings.HasSuffix(rel, "_test.go")
	if n := strings.Count(string(src), "\n"); n > fileLinesMax {
		t.Errorf("%s: %d lines; a file has at most %d: split it by what it holds", rel, n, fileLinesMax)
	}
	checkFuncs(t, fset, f, rel)
	if test {
		return
	}
	checkImports(t, f, rel)
	checkCalls(t, fset, f, rel)
}

func checkFuncs(t *testing.T, fset *token.FileSet, f *ast.File, rel string) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
		if n > funcLinesMax && !strings.Contains(fn.Doc.Text(), "Long because") {
			t.Errorf("%s: %s has %d lines; at most %d, or a comment \"Long because …\"", rel, fn.Name.Name, n, funcLinesMax)
		}
	}
}

func checkImports(t *testing.T, f *ast.File, rel string) {
	pkg := filepath.ToSlash(filepath.Dir(rel))
	var from []string
	best := -1
	for _, r := range mayImport {
		if (pkg == strings.TrimSuffix(r.pkg, "/") || strings.HasPrefix(pkg, strings.TrimSuffix(r.pkg, "/")+"/")) && len(r.pkg) > best {
			best, from = len(r.pkg), r.from
		}
	}
	if best < 0 {
		t.Errorf("%s: the package %s is not on the map; see mayImport", rel, pkg)
	}
	for _, im := range f.Imports {
		p := strings.Trim(im.Path.Value, `"`)
		if where, ok := onlyIn[p]; ok && !under(pkg, where) {
			t.Errorf("%s imports %s; only %v may", rel, p, where)
		}
		ours, ok := strings.CutPrefix(p, module)
		if ok && !under(ours, from) && !under(ours, []string{pkg}) {
			t.Errorf("%s imports %s; package %s may import %v", rel, ours, pkg, from)
		}
	}
}

// under says whether path is one of the places or lies below one; "" is everywhere.
func under(path string, places []string) bool {
	for _, p := range places {
		if p == "" || path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

func checkCalls(t *testing.T, fset *token.FileSet, f *ast.File, rel string) {
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		name := x.Name + "." + sel.Sel.Name
		if where, ok := banned[name]; ok && !under(rel, where) {
			t.Errorf("%s:%d calls %s; it belongs to %v: take time from core.Env, files from segment.FS", rel, fset.Position(n.Pos()).Line, name, where)
		}
		return true
	})
}
