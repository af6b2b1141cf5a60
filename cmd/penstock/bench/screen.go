package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/cmd/penstock/cli"
)

// screen shows a run: on a terminal a few lines that are written again each second, else a
// line for each. It writes to stderr, for what comes of the run goes to stdout.
type screen struct {
	w       io.Writer
	columns func() int
	live    bool
	color   bool
	mu      sync.Mutex
	drawn   int // lines on the terminal that will be written over
	load    *workload.Workload
	watched bool
	whole   time.Duration // of the load, warm-up included
	errors  int64         // so far
	out, in []float64     // rates so far, of records sent and read
}

func newScreen(f *os.File, plain bool) *screen {
	live := !plain && cli.IsTerminal(f) && os.Getenv("TERM") != "dumb"
	return &screen{w: f, columns: func() int { return cli.Columns(f) }, live: live, color: cli.Color(f)}
}

// What a terminal is told: to go up some lines, and to forget a line's rest or all below.
const (
	upLines   = "\x1b[%dA"
	eraseLine = "\x1b[K"
	eraseDown = "\r\x1b[J"
)

// line writes a line that stays.
func (s *screen) line(text string) {
	s.erase()
	fmt.Fprintln(s.w, text)
}

// draw writes lines that are written over by what comes next. None is longer than the
// terminal is wide: one that goes on in the next row could not be written over.
func (s *screen) draw(lines ...string) {
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, upLines, s.drawn)
	}
	b.WriteByte('\r')
	for _, l := range lines {
		if r, most := []rune(l), s.columns()-1; len(r) > most {
			l = string(r[:most])
		}
		b.WriteString(l + eraseLine + "\r\n")
	}
	b.WriteString(eraseDown)
	s.drawn = len(lines)
	fmt.Fprint(s.w, b.String())
}

// erase takes away what was drawn.
func (s *screen) erase() {
	if s.drawn > 0 {
		fmt.Fprintf(s.w, upLines+eraseDown, s.drawn)
		s.drawn = 0
	}
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
	s.load, s.watched = &r.Workload, r.Target.PID != 0
	s.whole = time.Duration(r.Workload.Warmup + r.Workload.Duration)
	width := 0
	if s.live {
		width = s.columns()
	}
	for _, l := range head(r) {
		name, rest, _ := strings.Cut(wrap(l, width, 8), " ")
		s.line(s.bold(name) + " " + rest)
	}
	if s.live {
		s.line("")
	}
}

// wrap breaks a text between its words into lines of less than width runes, those after
// the first indented. Width 0 leaves it as it is.
func wrap(text string, width, indent int) string {
	var out strings.Builder
	at, gap := 0, ""
	for i, word := range strings.SplitAfter(text, " ") {
		whole, bare := len([]rune(word)), strings.TrimRight(word, " ")
		n := len([]rune(bare))
		if i > 0 && width > 2*indent && at+n >= width {
			gap, at = "\n"+strings.Repeat(" ", indent), indent
		}
		out.WriteString(gap + bare)
		at, gap = at+whole, word[len(bare):]
	}
	return out.String() + gap
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
	s.errors += v.Errors
	s.out, s.in = append(s.out, float64(v.Produced)/v.Seconds), append(s.in, float64(v.Consumed)/v.Seconds)
	if s.live {
		s.draw(s.block(v)...)
		return
	}
	s.line(s.text(v))
}

// clock is minutes and seconds.
func clock(d time.Duration) string {
	d = d.Round(time.Second)
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// block is an interval as the lines of the live screen, which a terminal of 80 columns holds.
func (s *screen) block(v result.Second) []string {
	at := min(time.Duration(v.At*float64(time.Second)), s.whole)
	phase := "measured"
	if v.Warm {
		phase = "warm-up, not counted"
	}
	out := []string{fmt.Sprintf(" %s of %s  %s; Ctrl-C ends it with a report", clock(at), clock(s.whole), phase)}
	flow := func(name string, records, size int64, rates []float64) {
		out = append(out, fmt.Sprintf(" %-9s%-16s%-14s%s", name, result.Count(float64(records)/v.Seconds)+" rec/s", fmt.Sprintf("%.1f MB/s", float64(size)/v.Seconds/1e6), spark(rates)))
	}
	if s.load.Produces() {
		flow("sent", v.Produced, v.ProducedB, s.out)
	}
	if s.load.Consumes() {
		flow("read", v.Consumed, v.ConsumedB, s.in)
	}
	latency := "nothing answered"
	if v.Max > 0 {
		latency = percentiles(v) + "  in this second"
	}
	out = append(out, fmt.Sprintf(" %-9s%s", "latency", latency))
	last := fmt.Sprintf(" %-9s%d", "errors", s.errors)
	if s.backlogged() {
		last += "   backlog " + result.Count(float64(v.Backlog))
	}
	return append(out, last+s.cpu(v, "   "))
}

func percentiles(v result.Second) string {
	return fmt.Sprintf("p50 %s  p99 %s  p99.9 %s  max %s", result.Duration(float64(v.P50)), result.Duration(float64(v.P99)), result.Duration(float64(v.P999)), result.Duration(float64(v.Max)))
}

// backlogged says whether there is something that can be due and not done.
func (s *screen) backlogged() bool { return s.load.Open() || s.load.Kind == workload.EndToEnd }

func (s *screen) cpu(v result.Second, gap string) string {
	text := fmt.Sprintf("%sclient cpu %.0f%%", gap, 100*v.LoadCPU)
	if s.watched {
		text += fmt.Sprintf("%sbroker cpu %.0f%%", gap, 100*v.BrokerCPU)
	}
	return text
}

// text is an interval in one line.
func (s *screen) text(v result.Second) string {
	records, size := v.Produced, v.ProducedB
	if s.load.Kind == workload.Consume {
		records, size = v.Consumed, v.ConsumedB
	}
	text := fmt.Sprintf(" %s  %s rec/s  %.1f MB/s", clock(time.Duration(v.At*float64(time.Second))), result.Count(float64(records)/v.Seconds), float64(size)/v.Seconds/1e6)
	if s.load.Kind == workload.EndToEnd || s.load.Kind == workload.Mixed {
		text += fmt.Sprintf("  in %s rec/s", result.Count(float64(v.Consumed)/v.Seconds))
	}
	if v.Max > 0 {
		text += "  " + percentiles(v)
	} else {
		text += "  nothing answered"
	}
	text += fmt.Sprintf("  err %d", v.Errors)
	if s.backlogged() {
		text += fmt.Sprintf("  backlog %s", result.Count(float64(v.Backlog)))
	}
	text += s.cpu(v, "  ")
	if v.Warm {
		text += "  warm-up"
	}
	return text
}

// spark draws the last values as bars.
func spark(v []float64) string {
	const width = 30
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

// end leaves the terminal as if nothing had been drawn.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

// heading is what was measured.
func heading(t *cli.Table, r *result.Result, width int) {
	for _, l := range head(r) {
		t.Line("%s", wrap(l, width, 8))
	}
	t.Line("")
}

// summary is a result for a person, in lines of less than width if that is not 0.
func summary(t *cli.Table, r *result.Result, paths []string, width int) {
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
	from := "open loop: it counts from the intended send time, so a stall counts for all that it delayed"
	if r.Loop == "closed" {
		from = "closed loop: it counts from the send, so what waited for room is not in it"
	}
	t.Line("%s", wrap(" latency   "+from, width, 11))
	t.Row("", "p50", "p90", "p99", "p99.9", "p99.99", "max")
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
		t.Line(" assert    %s: %s (%s)", a.Text, map[bool]string{true: "holds", false: "does not hold"}[a.Held], a.Got)
	}
	for _, n := range r.Notes {
		t.Line("%s", wrap(" note      "+n, width, 11))
	}
	for _, p := range paths {
		t.Line(" saved     %s", p)
	}
}
