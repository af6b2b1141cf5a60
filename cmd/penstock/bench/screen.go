package bench

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/cmd/penstock/cli"
)

// screen shows a run: on a terminal one line that is written again each second, else a
// line for each. It writes to stderr, for what comes of the run goes to stdout.
type screen struct {
	f       *os.File
	live    bool
	color   bool
	mu      sync.Mutex
	open    bool // a line that will be written over is on the terminal
	w       *workload.Workload
	local   bool
	watched bool
	rates   []float64
}

func newScreen(f *os.File, plain bool) *screen {
	live := !plain && cli.IsTerminal(f) && os.Getenv("TERM") != "dumb"
	return &screen{f: f, live: live, color: cli.Color(f)}
}

const eraseLine = "\r\x1b[K"

// line writes a line that stays; draw one that is written over.
func (s *screen) line(text string) {
	if s.open {
		fmt.Fprint(s.f, eraseLine)
		s.open = false
	}
	fmt.Fprintln(s.f, text)
}

func (s *screen) draw(text string) {
	if r, most := []rune(text), cli.Columns(s.f)-1; len(r) > most && most > 0 {
		text = string(r[:most])
	}
	fmt.Fprint(s.f, eraseLine+text)
	s.open = true
}

func (s *screen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live {
		s.draw(text)
		return
	}
	s.line(text)
}

func (s *screen) bold(text string) string {
	if !s.color {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

// begin writes what is measured.
func (s *screen) begin(r *result.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w, s.local, s.watched = &r.Workload, r.SameHost, r.Target.PID != 0
	for _, l := range head(r) {
		name, rest, _ := strings.Cut(l, " ")
		s.line(s.bold(name) + " " + rest)
	}
}

// head is the lines that say what a run is.
func head(r *result.Result) []string {
	w := &r.Workload
	target := fmt.Sprintf("target  %s  %s", strings.Join(r.Target.Brokers, ","), r.Target.Software)
	if r.Target.Nodes > 1 {
		target += fmt.Sprintf(", %d nodes", r.Target.Nodes)
	}
	loop := "closed loop, as much as the broker takes"
	if w.Open() {
		loop = "open loop, " + result.Count(float64(w.Rate)) + " records/s"
	}
	var who []string
	if w.Producers > 0 {
		who = append(who, count(w.Producers, "producer"))
	}
	if w.Consumers > 0 {
		who = append(who, count(w.Consumers, "consumer"))
	}
	if w.Groups > 0 {
		who = append(who, "in "+count(w.Groups, "group"))
	}
	batch := "batches of up to " + workload.FormatSize(int64(w.BatchSize))
	if w.BatchRecords > 0 {
		batch = fmt.Sprintf("batches of %s", count(w.BatchRecords, "record"))
	}
	size := workload.FormatSize(int64(w.RecordSize)) + " B records"
	if strings.HasSuffix(size, "iB B records") {
		size = strings.Replace(size, " B records", " records", 1)
	}
	if w.Payload != workload.Random {
		size = "records of " + w.Payload
	}
	where := "another host"
	if r.SameHost {
		where = "same host"
	}
	return []string{target, "durable " + r.Target.Durability,
		fmt.Sprintf("load    %s: %s; %s; %s by %s; %s, %s, %s, compression %s, %s client, %s", w.Kind, loop, strings.Join(who, ", "), count(w.Topics, "topic"),
			count(w.Partitions, "partition"), size, batch, fmt.Sprintf("%d in flight", w.InFlight), w.Compression, w.Client, where)}
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// second shows one interval.
func (s *screen) second(v result.Second) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.text(v)
	if s.live {
		s.draw(text)
		return
	}
	s.line(text)
}

func (s *screen) text(v result.Second) string {
	records, size := v.Produced, v.ProducedB
	if s.w.Kind == workload.Consume {
		records, size = v.Consumed, v.ConsumedB
	}
	rate := float64(records) / v.Seconds
	s.rates = append(s.rates, rate)
	at := time.Duration(v.At * float64(time.Second)).Round(time.Second)
	text := fmt.Sprintf(" %02d:%02d  %s rec/s  %.1f MB/s", int(at.Minutes()), int(at.Seconds())%60, result.Count(rate), float64(size)/v.Seconds/1e6)
	if s.w.Kind == workload.EndToEnd || s.w.Kind == workload.Mixed {
		text += fmt.Sprintf("  in %s rec/s", result.Count(float64(v.Consumed)/v.Seconds))
	}
	if v.Max > 0 {
		text += fmt.Sprintf("  p50 %s  p99 %s  p99.9 %s  max %s", result.Duration(float64(v.P50)), result.Duration(float64(v.P99)), result.Duration(float64(v.P999)), result.Duration(float64(v.Max)))
	} else {
		text += "  nothing answered"
	}
	text += fmt.Sprintf("  err %d", v.Errors)
	if s.w.Open() || s.w.Kind == workload.EndToEnd {
		text += fmt.Sprintf("  backlog %s", result.Count(float64(v.Backlog)))
	}
	text += fmt.Sprintf("  client cpu %.0f%%", 100*v.LoadCPU)
	if s.watched {
		text += fmt.Sprintf("  broker cpu %.0f%%", 100*v.BrokerCPU)
	}
	if v.Warm {
		text += "  warm-up"
	}
	if s.live {
		text += "  " + spark(s.rates)
	}
	return text
}

// spark draws the last values as bars.
func spark(v []float64) string {
	const width = 20
	bars := []rune("▁▂▃▄▅▆▇█")
	v = v[max(len(v)-width, 0):]
	most := 0.0
	for _, x := range v {
		most = max(most, x)
	}
	out := make([]rune, 0, width)
	for _, x := range v {
		i := 0
		if most > 0 {
			i = int(x / most * float64(len(bars)-1))
		}
		out = append(out, bars[i])
	}
	return string(out)
}

// end leaves the terminal with a whole line.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		fmt.Fprint(s.f, eraseLine)
		s.open = false
	}
}

// heading is what was measured.
func heading(t *cli.Table, r *result.Result) {
	for _, l := range head(r) {
		t.Line("%s", l)
	}
	t.Line("")
}

// summary is a result for a person.
func summary(t *cli.Table, r *result.Result, paths []string) {
	warm := ""
	if w := time.Duration(r.Workload.Warmup); w > 0 {
		warm = fmt.Sprintf(" after %s of warm-up", w)
	}
	if r.Interrupted {
		warm += ", interrupted"
	}
	t.Line("measured %.1f s%s", r.Seconds, warm)
	for _, f := range []struct {
		name string
		result.Flow
	}{{"acknowledged", r.Produced}, {"read", r.Consumed}} {
		if f.Requests+f.Records+f.Errors == 0 {
			continue
		}
		t.Row(" "+f.name, result.Count(f.RecordsS)+" records/s", fmt.Sprintf("%.1f MB/s", f.BytesS/1e6), fmt.Sprintf("%d records in %d requests", f.Records, f.Requests), fmt.Sprintf("%d errors", f.Errors))
	}
	t.Line("")
	from := "from the intended send time"
	if r.Loop == "closed" {
		from = "from the send; closed loop: what waited for room is not in it"
	}
	t.Row(" latency", "p50", "p90", "p99", "p99.9", "p99.99", "max", from)
	for _, l := range r.Latencies {
		row := []any{" " + l.Name}
		for _, v := range []int64{l.P50, l.P90, l.P99, l.P999, l.P4, l.Max} {
			row = append(row, result.Duration(float64(v)))
		}
		t.Row(row...)
	}
	t.Line("")
	usage := func(name string, u *result.Usage) {
		if u != nil && r.Seconds > 0 {
			t.Row(" "+name, fmt.Sprintf("%.2f CPUs", u.CPUSeconds/r.Seconds), fmt.Sprintf("%.0f %% of the machine", 100*u.CPUShare), result.Bytes(float64(u.RSS))+" resident")
		}
	}
	usage("client", &r.Load)
	usage("broker", r.Broker)
	for _, a := range r.Asserted {
		t.Line(" assert   %s: %s (%s)", a.Text, map[bool]string{true: "holds", false: "does not hold"}[a.Held], a.Got)
	}
	for _, n := range r.Notes {
		t.Line(" note     %s", n)
	}
	for _, p := range paths {
		t.Line(" saved    %s", p)
	}
}
