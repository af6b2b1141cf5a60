package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Result is what a run has measured.
type Result struct {
	Machine Machine
	Options Options
	Rows    []Row
}

// Row is one figure with its bounds.
type Row struct {
	Name    string
	Value   float64 // the median of the rounds
	Unit    string
	Low     float64 // lowest and highest of the rounds
	High    float64
	Good    float64 // the bound; 0: none
	Alarm   float64 // where worry begins; 0: none
	AtLeast bool    // the bounds are from below
	Note    string
}

// Met says whether the value is within the good bound; true if there is none.
func (r Row) Met() bool {
	return r.Good == 0 || r.AtLeast && r.Value >= r.Good || !r.AtLeast && r.Value <= r.Good
}

// row adds the median of the samples.
func (b *bench) row(r Row, samples ...float64) {
	slices.Sort(samples)
	if n := len(samples); n > 0 {
		r.Value, r.Low, r.High = median(samples), samples[0], samples[n-1]
	}
	b.result.Rows = append(b.result.Rows, r)
	b.say("  %s: %.3g %s", r.Name, r.Value, r.Unit)
}

// median of sorted values.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Machine is what the figures depend on.
type Machine struct {
	CPU, Kernel, Go, FileSystem string
	CPUs                        int
	MemoryGiB                   float64
	SystemCongestion            string
}

func machine(dir string) Machine {
	m := Machine{Go: runtime.Version(), CPUs: runtime.NumCPU(), MemoryGiB: float64(field("/proc/meminfo", "MemTotal:")) / (1 << 20)}
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(b) {
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	b, _ = os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel = strings.TrimSpace(string(b))
	b, _ = os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	m.SystemCongestion = strings.TrimSpace(string(b))
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) == nil {
		m.FileSystem = map[int64]string{0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: "tmpfs", 0x794c7630: "overlay"}[int64(fs.Type)]
	}
	return m
}

// Markdown is the result as a table, with what it depends on.
func (r Result) Markdown() string {
	var w strings.Builder
	m := r.Machine
	fmt.Fprintf(&w, "%s, %d CPUs (shared by broker and load), %.0f GiB; Linux %s, %s; %s; TCP %s on both ends (system: %s); one shard.\n",
		m.CPU, m.CPUs, m.MemoryGiB, m.Kernel, m.FileSystem, m.Go, "cubic", m.SystemCongestion)
	fmt.Fprintf(&w, "%d rounds of %v after %v, all variants in turn in each round; medians, in brackets the lowest and the highest. CPU seconds are the server's, from schedstat; a GB is 10^9 bytes.\n\n",
		r.Options.Rounds, r.Options.Duration, r.Options.Warmup)
	w.WriteString("| what | measured | | good | alarm | met | |\n|---|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		good, alarm, met := "", "", ""
		sign := "<= "
		if row.AtLeast {
			sign = ">= "
		}
		if row.Good != 0 {
			good, met = sign+number(row.Good), "yes"
			if !row.Met() {
				met = "**no**"
			}
		}
		if row.Alarm != 0 {
			alarm = number(row.Alarm)
		}
		span := ""
		if row.Low != row.High {
			span = " (" + number(row.Low) + " – " + number(row.High) + ")"
		}
		fmt.Fprintf(&w, "| %s | %s%s | %s | %s | %s | %s | %s |\n", row.Name, number(row.Value), span, row.Unit, good, alarm, met, row.Note)
	}
	return w.String()
}

// number prints three digits.
func number(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
