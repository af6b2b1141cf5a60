package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/cmd/penstock/top"
	"github.com/penstock/penstock/segment"
)

// version is set by the linker for releases.
var version = "0.1.0-dev"

// facts are what a start knows. The banner, the JSON line and /v1/status show the same
// ones, and nothing that the process does not know is in them.
type facts struct {
	Version    string          `json:"version"`
	Commit     string          `json:"commit,omitempty"`
	Go         string          `json:"go"`
	Platform   string          `json:"platform"`
	Cluster    string          `json:"cluster_id"`
	Data       dataFacts       `json:"data"`
	Recovery   recoveryFacts   `json:"recovery"`
	Shards     int             `json:"shards"`
	CPUs       int             `json:"cpus"`
	Arena      int64           `json:"arena_bytes_per_shard"`
	ArenaDir   string          `json:"arena_dir"`
	ArenaFS    string          `json:"arena_file_system"`
	ArenaNote  string          `json:"arena_note,omitempty"`
	Orphans    []orphan        `json:"arenas_of_nobody,omitempty"`
	Journal    int64           `json:"journal_bytes_per_shard"`
	Listeners  []listenerFacts `json:"listeners"`
	CorePorts  string          `json:"core_ports,omitempty"` // why there are none
	Admin      string          `json:"admin"`
	Security   string          `json:"security"`
	Durability durabilityFacts `json:"durability"`
	ReadyMs    int64           `json:"ready_ms"`
}

type dataFacts struct {
	Dir        string `json:"dir"`
	FileSystem string `json:"file_system"`
	Free       int64  `json:"free_bytes"`
	Note       string `json:"note,omitempty"`
}

// dataNote is what a file system means for the promises.
func dataNote(fileSystem string) string {
	switch fileSystem {
	case "ext4", "xfs":
		return ""
	case "tmpfs":
		return "this directory is in memory: a restart of the machine takes everything, whatever was acknowledged"
	}
	return "what is promised of power cuts is tested on ext4 and relied on with XFS; not on this file system"
}

type recoveryFacts struct {
	Clean       bool     `json:"clean_shutdown"`
	Partitions  int      `json:"partitions"`
	Replayed    int64    `json:"replayed_bytes"`
	Torn        int      `json:"torn_tails_cut"`
	Quarantined []string `json:"quarantined,omitempty"`
	Damaged     []string `json:"damaged,omitempty"`
	Unknown     []string `json:"unknown_directories_kept,omitempty"`
	Moved       int      `json:"partitions_moved,omitempty"`
	Ms          int64    `json:"ms"`
}

type listenerFacts struct {
	Protocol   string `json:"protocol"`
	Address    string `json:"address"`
	Advertised string `json:"advertised"`
	View       string `json:"view"`
	Security   string `json:"security"`
}

type durabilityFacts struct {
	Default    string  `json:"default"`
	SyncMs     float64 `json:"sync_ms_median"`
	SyncWorst  float64 `json:"sync_ms_worst"`
	SyncProbes int     `json:"sync_probes"`
}

func newFacts() facts {
	f := facts{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, s := range bi.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 8 {
				f.Commit = s.Value[:8]
			}
		}
	}
	return f
}

func (f *facts) title() string {
	return strings.TrimSpace(fmt.Sprintf("penstock %s  %s %s %s", f.Version, f.Go, f.Platform, f.Commit))
}

// banner prints the facts for a person, in lines of a width; 0 does not break any.
func (f *facts) banner(w io.Writer, width int) {
	row := func(name, a, b string) {
		line := fmt.Sprintf("  %-11s %-21s %s", name, a, b)
		indent := len("  durability  ")
		if b != "" && width >= 2*len("  durability  127.0.0.1:65535       ") {
			indent = max(utf8.RuneCountInString(line)-utf8.RuneCountInString(b), indent)
		}
		fmt.Fprintln(w, wrap(strings.TrimRight(line, " "), width, indent))
	}
	fmt.Fprintln(w, f.title())
	row("data", f.Data.Dir, fmt.Sprintf("%s, %s free; %s", f.Data.FileSystem, formatSize(f.Data.Free), f.Recovery.words()))
	if f.Data.Note != "" {
		row("", "NOTE", f.Data.Note)
	}
	for _, q := range f.Recovery.Quarantined {
		row("", "QUARANTINED", q)
	}
	for _, d := range f.Recovery.Damaged {
		row("", "DAMAGED", d)
	}
	for _, u := range f.Recovery.Unknown {
		row("", "kept", u+" belongs to no topic of the catalog; it is left alone")
	}
	row("shards", fmt.Sprintf("%d on %s", f.Shards, count(f.CPUs, "CPU")), fmt.Sprintf("each with %s of arena (%s) and %s of journal", formatSize(f.Arena), f.ArenaFS, formatSize(f.Journal)))
	if f.ArenaNote != "" {
		row("", "arena", f.ArenaNote)
	}
	for _, o := range f.Orphans {
		row("", "left over", fmt.Sprintf("%s of arenas of %s, which does not know them any more: rm -r %s", formatSize(o.Bytes), o.Data, o.Dir))
	}
	for _, l := range f.Listeners {
		row(l.Protocol, l.Address, fmt.Sprintf("%s, advertised %s, %s", l.View, l.Advertised, l.Security))
	}
	if f.CorePorts != "" {
		row("core ports", f.CorePorts, "")
	}
	row("admin", f.Admin, "http://"+f.Admin+"/healthz  /readyz  /v1/status  /metrics")
	row("security", f.Security, "")
	d := f.Durability
	row("durability", d.Default, fmt.Sprintf("%s; fdatasync of 4 KiB takes %.2f ms here (worst of %d: %.2f ms)", durabilityWords[d.Default], d.SyncMs, d.SyncProbes, d.SyncWorst))
	fmt.Fprintf(w, "ready in %d ms\n\n", f.ReadyMs)
	fmt.Fprintf(w, "%s\n", f.next(os.Args[0]))
}

// next is what to try now, each a line that works as it stands in another terminal: with the
// program as it was called, and the address if it is not the one that verbs begin with.
func (f *facts) next(program string) string {
	if strings.ContainsAny(program, " \t\"'\\$&|;()<>*?[`~#") {
		program = "'" + strings.ReplaceAll(program, "'", `'\''`) + "'"
	}
	b, admin := "", ""
	if at := reachable(f.Listeners[0].Address); at != cli.DefaultBroker {
		b = " -b " + at
	}
	if f.Admin != top.DefaultAdmin {
		admin = " --admin " + f.Admin
	}
	return fmt.Sprintf("  echo hello | %[1]s produce demo%[2]s\n  %[1]s consume demo -o start -e%[2]s\n  %[1]s top%[3]s\n", program, b, admin)
}

// reachable is where a client on this machine finds a listener.
func reachable(listener string) string {
	a, err := netip.ParseAddrPort(listener)
	if err != nil || !a.Addr().IsUnspecified() {
		return listener
	}
	return joinHostPort("127.0.0.1", int(a.Port()))
}

// wrap breaks a line between words where it would be wider than width, and indents what
// follows. A word that is wider stays whole: paths and addresses are there to be copied.
func wrap(line string, width, indent int) string {
	runes := []rune(line)
	if width <= indent || len(runes) <= width {
		return line
	}
	cut := 0
	for i, r := range runes {
		if r == ' ' && i > indent && (i <= width || cut == 0) {
			cut = i
		}
	}
	if cut == 0 {
		return line
	}
	head, rest := strings.TrimRight(string(runes[:cut]), " "), strings.TrimLeft(string(runes[cut:]), " ")
	return head + "\n" + wrap(strings.Repeat(" ", indent)+rest, width, indent)
}

var durabilityWords = map[string]string{
	"synced":   "an acknowledgement waits for the disk's sync",
	"interval": "an acknowledgement does NOT wait for the disk; a power cut may take back the last milliseconds",
	"os":       "an acknowledgement does NOT wait for the disk; it survives the process, not a power cut",
}

// take copies what the recovery of the logs reports.
func (r *recoveryFacts) take(rec *segment.Recovery) {
	r.Partitions, r.Replayed, r.Torn = rec.Report.Partitions, rec.Report.Bytes, rec.Report.Torn
	r.Unknown, r.Ms = rec.Report.Unknown, rec.Report.Duration.Milliseconds()
	for _, p := range rec.Report.Quarantined {
		r.Quarantined = append(r.Quarantined, fmt.Sprintf("%s: %v", p, rec.Logs[p].Quarantined))
	}
	for _, d := range rec.Report.Damaged {
		text := d.Err.Error()
		if d.Kept != "" {
			text += "; it is kept as " + d.Kept
		}
		r.Damaged = append(r.Damaged, text)
	}
}

func (r *recoveryFacts) words() string {
	var s []string
	if r.Partitions == 0 {
		return "empty"
	}
	if r.Clean {
		s = append(s, fmt.Sprintf("stopped cleanly, opened %s", count(r.Partitions, "partition")))
	} else {
		s = append(s, fmt.Sprintf("not stopped cleanly, recovered %s", count(r.Partitions, "partition")))
	}
	if !r.Clean && r.Replayed > 0 {
		s = append(s, fmt.Sprintf("replayed %s", formatSize(r.Replayed)))
	}
	if r.Torn > 0 {
		s = append(s, "cut "+count(r.Torn, "torn tail"))
	}
	if r.Moved > 0 {
		s = append(s, "moved "+count(r.Moved, "partition")+" to other shards")
	}
	return fmt.Sprintf("%s in %d ms", strings.Join(s, ", "), r.Ms)
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// log writes the facts as one event, for machines.
func (f *facts) log(l *slog.Logger) {
	l.Info("ready", "facts", f)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
