package records

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ledger holds what has become of every record that was handed to the client.
//
// Invariant: sent = acknowledged + failed + what nothing is known of yet.
type ledger struct {
	mu       sync.Mutex
	sent     int64
	acked    int64
	bytes    int64 // acknowledged, keys and values
	failed   int64
	failures []failure // the first of them
	parts    map[topicPartition]*partLedger
	last     *partLedger     // of the last acknowledgement
	since    time.Time       // the last sign of life, while something is outstanding
	lines    *deliveredLines // nil unless every record is told
	printErr error           // of lines
}

type partLedger struct {
	topicPartition
	records, bytes int64
	runs           [][2]int64 // offsets without a gap: first and last
}

type failure struct {
	where where
	err   error
}

// failuresShown is how many failed records are told one by one.
const failuresShown = 10

func newLedger() *ledger { return &ledger{parts: map[topicPartition]*partLedger{}} }

// handed counts a record that the client is about to get.
func (l *ledger) handed(now time.Time) {
	l.mu.Lock()
	if l.sent == l.acked+l.failed {
		l.since = now
	}
	l.sent++
	l.mu.Unlock()
}

// finished takes the answer to a record.
func (l *ledger) finished(r *kgo.Record, err error, at where, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = now
	if err != nil {
		l.failed++
		if len(l.failures) < failuresShown {
			l.failures = append(l.failures, failure{at, err})
		}
		return
	}
	n := int64(len(r.Key) + len(r.Value))
	l.acked++
	l.bytes += n
	p := l.last
	if p == nil || p.partition != r.Partition || p.topic != r.Topic {
		tp := topicPartition{r.Topic, r.Partition}
		if p = l.parts[tp]; p == nil {
			p = &partLedger{topicPartition: tp}
			l.parts[tp] = p
		}
		l.last = p
	}
	p.records++
	p.bytes += n
	if i := len(p.runs) - 1; i >= 0 && p.runs[i][1]+1 == r.Offset {
		p.runs[i][1]++
	} else if r.Offset >= 0 {
		p.runs = append(p.runs, [2]int64{r.Offset, r.Offset})
	}
	if l.lines != nil && l.printErr == nil {
		l.printErr = l.lines.add(r, at)
	}
}

// tell writes the lines of the records that were acknowledged up to here.
func (l *ledger) tell() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines != nil && l.printErr == nil {
		l.printErr = l.lines.flush()
	}
	return l.printErr
}

// outstanding is how many records nothing is known of, and since when.
func (l *ledger) outstanding() (n int64, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent - l.acked - l.failed, l.since
}

// delivered is the answer of produce as JSON or YAML.
type delivered struct {
	Records    int64           `json:"records"` // acknowledged
	Bytes      int64           `json:"bytes"`   // keys and values
	Failed     int64           `json:"failed"`
	Unknown    int64           `json:"unknown"` // sent, and neither acknowledged nor refused
	Seconds    float64         `json:"seconds"`
	Acks       string          `json:"acks"`
	Partitions []deliveredPart `json:"partitions"`
	Failures   []deliveredFail `json:"failures,omitempty"` // the first ten
}

type deliveredPart struct {
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Records   int64      `json:"records"`
	Bytes     int64      `json:"bytes"`
	Offsets   [][2]int64 `json:"offsets"` // first and last of each run without a gap
}

type deliveredFail struct {
	File  string `json:"file,omitempty"`
	Line  int64  `json:"line,omitempty"`
	Error string `json:"error"`
}

func (l *ledger) report(acks string, took time.Duration) delivered {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := delivered{Records: l.acked, Bytes: l.bytes, Failed: l.failed, Unknown: l.sent - l.acked - l.failed,
		Seconds: took.Seconds(), Acks: acks, Partitions: []deliveredPart{}}
	for _, p := range slices.SortedFunc(maps.Values(l.parts), func(a, b *partLedger) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	}) {
		d.Partitions = append(d.Partitions, deliveredPart{p.topic, p.partition, p.records, p.bytes, p.runs})
	}
	for _, f := range l.failures {
		d.Failures = append(d.Failures, deliveredFail{f.where.file, f.where.line, f.err.Error()})
	}
	return d
}

// partitionsShown is how many partitions a summary lists one by one.
const partitionsShown = 8

// summary tells a person what was delivered.
func (d *delivered) summary(w io.Writer) {
	how := ""
	if d.Acks == "0" {
		how = ", written and not acknowledged (acks=0)"
	}
	if len(d.Partitions) <= partitionsShown {
		for _, p := range d.Partitions {
			at, note := "", ""
			if n := len(p.Offsets); n > 0 {
				at = fmt.Sprintf("@%d", p.Offsets[0][0])
				if last := p.Offsets[n-1][1]; last != p.Offsets[0][0] {
					at += fmt.Sprintf("..%d", last)
				}
				if n > 1 {
					note = ", with offsets of others between them"
				}
			}
			fmt.Fprintf(w, "%s/%d%s  %s, %s%s%s\n", p.Topic, p.Partition, at, counted(p.Records, "record"), byteSize(p.Bytes), note, how)
		}
	}
	if len(d.Partitions) == 1 && d.Records < 1000 || d.Records == 0 {
		return
	}
	over := ""
	if n := len(d.Partitions); n > partitionsShown {
		over = fmt.Sprintf(" over %d partitions", n)
	}
	fmt.Fprintf(w, "%s, %s%s in %.2f s: %s records/s, %s/s\n", counted(d.Records, "record"), byteSize(d.Bytes), over, d.Seconds,
		grouped(int64(float64(d.Records)/d.Seconds)), byteSize(int64(float64(d.Bytes)/d.Seconds)))
}

func counted(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return grouped(n) + " " + what
}

// grouped writes a number with a comma before every third digit.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// byteSize writes a number of bytes with three digits: 6 B, 98.2 KB, 1.05 GB.
func byteSize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), ""
	for _, unit = range []string{"KB", "MB", "GB", "TB"} {
		if v /= 1000; v < 999.5 {
			break
		}
	}
	digits := 2
	if v >= 99.95 {
		digits = 0
	} else if v >= 9.995 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %s", digits, v, unit)
}
