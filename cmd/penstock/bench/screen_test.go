package bench

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/workload"
)

// shown is what a terminal of so many columns shows after these bytes. It knows what the
// screen sends and nothing else.
func shown(t *testing.T, text string, columns int) []string {
	t.Helper()
	rows, row, col := []string{""}, 0, 0
	for len(text) > 0 {
		var n int
		switch {
		case strings.HasPrefix(text, "\x1b[K"):
			rows[row] = string([]rune(rows[row])[:min(col, len([]rune(rows[row])))])
			text = text[3:]
		case strings.HasPrefix(text, "\x1b[J"):
			rows = append(rows[:row], string([]rune(rows[row])[:min(col, len([]rune(rows[row])))]))
			text = text[3:]
		case text[0] == 0x1b:
			var what rune
			if _, err := fmt.Sscanf(text[1:], "[%d%c", &n, &what); err != nil || what != 'A' || n > row {
				t.Fatalf("%q in row %d: %v", text[:min(9, len(text))], row, err)
			}
			row -= n
			text = text[strings.IndexByte(text, 'A')+1:]
		case text[0] == '\r':
			col, text = 0, text[1:]
		case text[0] == '\n':
			if row++; row == len(rows) {
				rows = append(rows, "")
			}
			col, text = 0, text[1:] // as a terminal does that is not raw
		default:
			r := []rune(text)[0]
			if col == columns {
				t.Fatalf("more than %d columns: %q", columns, rows[row])
			}
			line := []rune(rows[row] + strings.Repeat(" ", max(col-len([]rune(rows[row])), 0)))
			line = append(line[:col:col], append([]rune{r}, line[min(col+1, len(line)):]...)...)
			rows[row] = string(line)
			col++
			text = text[len(string(r)):]
		}
	}
	return rows
}

func liveScreen(kind string, rate int64, columns int) (*screen, *bytes.Buffer) {
	var b bytes.Buffer
	s := &screen{w: &b, columns: func() int { return columns }, live: true}
	w := workload.New(kind)
	w.Rate, w.Warmup, w.Duration = rate, workload.Time(2*time.Second), workload.Time(58*time.Second)
	s.say("writing the backlog: 50 %")
	s.begin(&result.Result{Workload: w, Target: result.Target{Brokers: []string{"127.0.0.1:9092"}, Software: "penstock", PID: 7, Durability: strings.Repeat("survives much ", 9)}})
	return s, &b
}

// All that a person is promised is to be seen on a terminal of the usual width, in place
// of what was there a second before.
func TestTheLiveScreenShowsAllOfIt(t *testing.T) {
	for _, kind := range []string{workload.Produce, workload.Consume, workload.EndToEnd, workload.Mixed} {
		s, b := liveScreen(kind, 1_000_000, 80)
		s.second(result.Second{At: 1, Seconds: 1, Warm: true, Produced: 111, Consumed: 112, P50: 1, P99: 2, P999: 3, Max: 4, Errors: 2})
		s.second(result.Second{At: 62.4, Seconds: 2, Produced: 1_999_000, ProducedB: 2_047_000_000, Consumed: 1_777_000, ConsumedB: 1_820_000_000, P50: 123_456_000, P99: 234_567_000, P999: 345_678_000,
			Max: 456_789_000, Errors: 3, Backlog: 123_456, LoadCPU: 1.37, BrokerCPU: 12.21})
		got := strings.Join(shown(t, b.String(), 80), "\n")
		want := []string{"target  127.0.0.1:9092", "durable survives", "open loop", " 01:00 of 01:00  measured", "p50 123 ms  p99 235 ms  p99.9 346 ms  max 457 ms  in this second", "errors   5", "backlog 123k", "client cpu 137%", "broker cpu 1221%"}
		if kind != workload.Consume {
			want = append(want, "sent     1.00M rec/s     1023.5 MB/s   ▁█")
		}
		if kind != workload.Produce {
			want = append(want, "read     888k rec/s      910.0 MB/s    ▁█")
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q is not to be seen in\n%s", kind, w, got)
			}
		}
		for _, gone := range []string{"warm-up", "00:01", "backlog: 50"} {
			if strings.Contains(got, gone) {
				t.Errorf("%s: %q is still to be seen in\n%s", kind, gone, got)
			}
		}
		s.end()
		if got := strings.Join(shown(t, b.String(), 80), "\n"); strings.Contains(got, "errors") || !strings.Contains(got, "open loop") {
			t.Errorf("%s: at the end there is\n%s", kind, got)
		}
	}
}

// On a narrow terminal the lines are cut and not broken, so that they can be written over.
func TestTheLiveScreenOfANarrowTerminal(t *testing.T) {
	s, b := liveScreen(workload.Mixed, 1000, 42)
	for i := range 3 {
		s.second(result.Second{At: float64(i + 1), Seconds: 1, Produced: 999, Consumed: 999, Max: 999_999_999, P50: 999_999_999, P99: 999_999_999, P999: 999_999_999, LoadCPU: 1, BrokerCPU: 1})
	}
	got := strings.Join(shown(t, b.String(), 42), "\n")
	if strings.Count(got, "sent") != 1 || strings.Count(got, " of 01:00") != 1 || !strings.Contains(got, "00:03 of") {
		t.Errorf("%s", got)
	}
}

func TestTheCommandRepeatsTheRunAndTellsNoSecret(t *testing.T) {
	args := []string{"bench", "produce", "--rate", "1k", "-X", "sasl.username=me", "-X", "sasl.password=hush", "-Xssl.key.password=hush", "--option=sasl.jaas.config=a password=hush;"}
	for named, want := range map[bool]string{
		true:  "penstock bench produce --rate 1k -X sasl.username=me -X sasl.password=… -Xssl.key.password=… --option=sasl.jaas.config=…",
		false: "penstock bench produce --rate 1k -X sasl.username=me -X sasl.password=… -Xssl.key.password=… --option=sasl.jaas.config=… --brokers kafka:9092",
	} {
		if got := strings.Join(repeats(args, "kafka:9092", named), " "); got != want {
			t.Errorf("\n%s\n%s", got, want)
		}
	}
}

func TestWordsAreWrapped(t *testing.T) {
	const text = "load    a few words and more"
	for width, want := range map[int]string{0: text, 100: text, 19: "load    a few\n  words and more"} {
		if got := wrap(text, width, 2); got != want {
			t.Errorf("%d: %q", width, got)
		}
	}
}
