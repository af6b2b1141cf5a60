package result

import "testing"

func TestNumbersForPeople(t *testing.T) {
	for want, got := range map[string]string{
		"0":         Duration(0),
		"850 ns":    Duration(850),
		"1.00 µs":   Duration(999.6),
		"12.3 µs":   Duration(12_345),
		"1.23 ms":   Duration(1_234_567),
		"1.00 s":    Duration(999_600_000),
		"75.0 s":    Duration(75e9),
		"3":         Count(3),
		"1.02M":     Count(1_023_456),
		"999k":      Count(999_400),
		"50k":       roundCount(50_000),
		"2.5M":      roundCount(2_500_000),
		"300":       roundCount(300),
		"1.50 kB":   Bytes(1500),
		"2.00 GB":   Bytes(2e9),
		"0.500":     three(0.5),
		"0.0123":    three(0.01234),
		"1.00":      three(0.99996),
		"0.999":     three(0.9991),
		"10.0":      three(9.996),
		"1,000,312": grouped(1_000_312),
		"-12":       grouped(-12),
		"-1,200":    grouped(-1200),
		"1 run":     plural(1, "run"),
		"0 runs":    plural(0, "run"),
		"p99.9":     quantileName(99.9),
		"99.90 %":   quantileText(3),
		"50.0 %":    quantileText(0.30103),
		"1 KiB":     sizeText(1024),
		"1,000 B":   sizeText(1000),
	} {
		if got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}

func TestAxesHoldTheirValuesAndAreMarkedInOrder(t *testing.T) {
	for name, a := range map[string]axis{
		"linear":      linear(205_000, Count),
		"tiny":        linear(0.0003, three),
		"nothing":     linear(0, Count),
		"time":        timeAxis(0, 23),
		"a long time": timeAxis(0, 5000),
		"latency":     latencyAxis(740, 1.5e9),
		"one value":   latencyAxis(5e6, 5e6),
		"no latency":  latencyAxis(0, 0),
		"nines":       ninesAxis(5.4),
		"few samples": ninesAxis(1),
	} {
		if len(a.ticks) < 2 || len(a.ticks) > 12 || a.max <= a.min {
			t.Errorf("%s: %d marks from %v to %v", name, len(a.ticks), a.min, a.max)
		}
		for i, k := range a.ticks {
			if k.Pos < -0.01 || k.Pos > 100.01 || i > 0 && (k.Pos <= a.ticks[i-1].Pos || k.Label == a.ticks[i-1].Label) {
				t.Errorf("%s: marks %+v", name, a.ticks)
				break
			}
		}
	}
	if a := linear(205_000, Count); a.min != 0 || a.max < 205_000 {
		t.Errorf("the throughput axis is from %v to %v", a.min, a.max)
	}
	if a := latencyAxis(740, 1.5e9); a.min > 740 || a.max < 1.5e9 {
		t.Errorf("the latency axis is from %v to %v", a.min, a.max)
	}
}

func TestCommandsAsAShellReadsThem(t *testing.T) {
	for want, args := range map[string][]string{
		`penstock bench e2e --rate=1M -b 127.0.0.1:9092`: {"penstock", "bench", "e2e", "--rate=1M", "-b", "127.0.0.1:9092"},
		`a 'p99<5ms' '' 'it'\''s'`:                       {"a", "p99<5ms", "", "it's"},
	} {
		if got := shellLine(args); got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}
