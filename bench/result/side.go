package result

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/perf"
)

// Side is one of those that are compared: runs of one workload against one broker, in
// the order in which they began.
type Side struct {
	Name string // the argument that it was read from
	Runs []*Result
}

// LoadSide reads one result, all results of a directory, or those that a pattern matches.
func LoadSide(arg string) (Side, error) {
	s := Side{Name: arg}
	paths := []string{arg}
	if st, err := os.Stat(arg); err == nil && st.IsDir() {
		paths, _ = filepath.Glob(filepath.Join(escapeGlob(arg), "*.json"))
	} else if err != nil && strings.ContainsAny(arg, "*?[") {
		if paths, err = filepath.Glob(arg); err != nil {
			return s, fmt.Errorf("the pattern %q: %w", arg, err)
		}
	}
	for _, p := range paths {
		if strings.HasSuffix(p, extension("omb")) && len(paths) > 1 {
			continue
		}
		r, err := Load(p)
		if err != nil {
			return s, err
		}
		s.Runs = append(s.Runs, r)
	}
	if len(s.Runs) == 0 {
		return s, fmt.Errorf("there is no result in %s: a result is a .json file that penstock bench saved", arg)
	}
	slices.SortStableFunc(s.Runs, func(a, b *Result) int { return a.Started.Compare(b.Started) })
	for _, r := range s.Runs[1:] {
		if a, b := s.Runs[0].Target.Software, r.Target.Software; a != b {
			return s, fmt.Errorf("%s holds runs against %s and against %s: give each broker a directory of its own", arg, a, b)
		}
	}
	return s, nil
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// notLoad are fields of a workload that do not make two of them unlike: words, and what
// is set on the broker's side or may be what is compared. Those of the second kind are
// warned about.
var notLoad = map[string]bool{"Name": false, "Doc": false, "Payload": false, "Durability": true, "View": true, "Configs": true}

// unlike names the fields in which two workloads differ as loads, and those in which
// they differ without being another load.
func unlike(a, b *workload.Workload) (fields, others []string) {
	va, vb := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range va.NumField() {
		f := va.Type().Field(i)
		if reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		diff := fmt.Sprintf("%s (%s and %s)", name, shown(va.Field(i)), shown(vb.Field(i)))
		warn, known := notLoad[f.Name]
		switch {
		case f.Name == "Payload" && (a.PayloadSHA == "" || b.PayloadSHA == ""):
			fields = append(fields, diff) // files with a checksum are told apart by it
		case !known:
			fields = append(fields, diff)
		case warn:
			others = append(others, diff)
		}
	}
	return fields, others
}

func shown(v reflect.Value) string {
	if s := fmt.Sprint(v.Interface()); s != "" {
		return s
	}
	return "none"
}

// UnlikeError refuses to compare results of unlike workloads.
type UnlikeError struct {
	A, B   string
	Fields []string
}

func (e *UnlikeError) Error() string {
	return fmt.Sprintf("%s and %s ran unlike workloads; they differ in %s: run both with the same workload", e.A, e.B, strings.Join(e.Fields, ", "))
}

// differing are the workload fields in which any run differs from the first of all.
func differing(sides []Side) (refuse *UnlikeError, warn []string) {
	first := &sides[0].Runs[0].Workload
	seen := map[string]bool{}
	for _, s := range sides {
		for _, r := range s.Runs {
			fields, others := unlike(first, &r.Workload)
			if len(fields) > 0 && refuse == nil {
				refuse = &UnlikeError{sides[0].Name, s.Name, fields}
			}
			for _, o := range others {
				if !seen[o] {
					seen[o], warn = true, append(warn, "The workloads differ in "+o+".")
				}
			}
		}
	}
	return refuse, warn
}

// unequal warns where the conditions of the runs differ, and hands on what the runs say
// against their own figures.
func unequal(sides []Side) (warn []string) {
	add := func(format string, args ...any) {
		if w := fmt.Sprintf(format, args...); !slices.Contains(warn, w) {
			warn = append(warn, w)
		}
	}
	a := sides[0].Runs[0]
	for i, s := range sides {
		for _, r := range s.Runs {
			if d := machinesDiffer(a.Machine, r.Machine); len(d) > 0 {
				add("The machines differ: %s.", strings.Join(d, ", "))
			}
			if a.Target.Durability != r.Target.Durability {
				add("Durability differs: %s waits for “%s”, %s for “%s”.", letter(0), a.Target.Durability, letter(i), r.Target.Durability)
			}
			if a.SameHost != r.SameHost {
				add("One load shared its broker's machine and the other did not.")
			}
			if a.Loop != r.Loop {
				add("One load was an open loop and the other a closed one: their latencies do not mean the same.")
			}
		}
	}
	return append(warn, runNotes(sides)...)
}

// runNotes are the notes of the runs with the runs that each is of. Those that differ in
// their figures alone are one, in the words of the first.
func runNotes(sides []Side) (out []string) {
	type group struct {
		note, first string
		runs        []string
		differ      bool
	}
	groups := map[string]*group{}
	var order []*group
	total := 0
	for i, s := range sides {
		for j, r := range s.Runs {
			total++
			who := letter(i)
			if len(s.Runs) > 1 {
				who = fmt.Sprintf("%s%d", who, j+1)
			}
			for _, n := range r.Notes {
				key := figures.ReplaceAllString(n, "#")
				g := groups[key]
				if g == nil {
					g = &group{note: n, first: who}
					groups[key], order = g, append(order, g)
				}
				g.runs, g.differ = append(g.runs, who), g.differ || n != g.note
			}
		}
	}
	for _, g := range order {
		who := strings.Join(g.runs, ", ")
		if len(g.runs) == total {
			who = "All runs"
		}
		if g.differ {
			who += " (in the words of " + g.first + "; the figures differ)"
		}
		out = append(out, who+": "+g.note)
	}
	return out
}

// figures are the numbers in a note.
var figures = regexp.MustCompile(`[0-9][0-9.,]*[kMG]?`)

// machinesDiffer names the fields of two fingerprints that differ and matter to a
// figure. The sync time is a measurement and differs always.
func machinesDiffer(a, b perf.Fingerprint) (fields []string) {
	a.SyncMs, a.SyncWorst, b.SyncMs, b.SyncWorst = 0, 0, 0, 0
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		if f := va.Type().Field(i); !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, fmt.Sprintf("%s (%s and %s)", name, shown(va.Field(i)), shown(vb.Field(i))))
		}
	}
	return fields
}

// letter is what a side is called in tables: A, B, …
func letter(i int) string { return string(rune('A' + i)) }
