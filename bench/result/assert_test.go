package result

import (
	"strings"
	"testing"
)

func assertions(t *testing.T, texts ...string) (out []Assertion) {
	t.Helper()
	for _, s := range texts {
		a, err := ParseAssertion(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

// assertable has a value of its own for each metric.
func assertable(t *testing.T) *Result {
	r := aRun.run(t)
	for i := range r.Latencies {
		r.Latencies[i].Hist.Reset()
		_ = r.Latencies[i].Hist.RecordValues(int64(1+i)*1_000_000, 999) // produce 1 ms, end to end 2 ms
		_ = r.Latencies[i].Hist.RecordValue(int64(1+i) * 50_000_000)
	}
	r.Produced = Flow{Requests: 10, Records: 3e6, Bytes: 3e9, Errors: 2, RecordsS: 150_000, BytesS: 150e6}
	r.Consumed = Flow{Requests: 10, Records: 2e6, Bytes: 2e9, Errors: 1, RecordsS: 100_000, BytesS: 100e6}
	r.Broker = &Usage{CPUSeconds: 10, RSS: 200e6}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAssertionsThatHoldAndThatDoNot(t *testing.T) {
	r := assertable(t)
	for text, got := range map[string]string{ // "": it holds
		"p99<5ms":                   "",
		" P99 <= 2.1 ms ":           "",
		"p99<1500us":                "p99 is 2.00 ms",
		"p99<1500µs":                "p99 is 2.00 ms",
		"produce.p99<1500us":        "",
		"e2e.p99<1.5ms":             "e2e.p99 is 2.00 ms",
		"p9999<50ms":                "p9999 is 100 ms",
		"p99.99<50ms":               "p99.99 is 100 ms",
		"produce.p99.99>=50ms":      "",
		"p999<3ms":                  "",
		"max<0.1s":                  "max is 100 ms",
		"max<1m":                    "",
		"mean<2.2ms":                "",
		"rate>=100k":                "",
		"rate>0.1M":                 "records_per_second is 100k",
		"produce.rate>=150k/s":      "",
		"records_per_second>1G":     "records_per_second is 100k",
		"bytes_per_second>=100MB/s": "",
		"bytes_per_second>96MiB/s":  "bytes_per_second is 100 MB/s",
		"bytes_per_second>99MB":     "",
		"errors==0":                 "errors is 3",
		"errors=3":                  "",
		"errors!=0":                 "",
		"produce.errors<=1":         "produce.errors is 2",
		"cpu_per_gb<=2s":            "",
		"cpu_per_gb<1.9":            "cpu_per_gb is 2.00 s",
		"cpu_per_million<2001ms":    "",
		"rss<190MiB":                "rss is 200 MB",
		"rss<=200MB":                "",
		"fetch.p99<5ms":             "no fetch latency was measured",
		"p99>0":                     "",
	} {
		failed := r.Check(assertions(t, text))
		switch {
		case got == "" && len(failed) > 0:
			t.Errorf("%s: %v", text, failed[0])
		case got != "" && (len(failed) != 1 || failed[0].Got != got || !strings.Contains(failed[0].Error(), "does not hold: "+got)):
			t.Errorf("%s: %v; want %q", text, failed, got)
		}
		if len(r.Asserted) != 1 || r.Asserted[0].Held != (got == "") || r.Asserted[0].Text != strings.TrimSpace(text) {
			t.Errorf("%s: the result keeps %+v", text, r.Asserted)
		}
	}
}

func TestAssertionsAboutWhatIsNotThere(t *testing.T) {
	r := assertable(t)
	r.Broker = nil
	r.Workload.Kind = "produce"
	for text, want := range map[string]string{"cpu_per_gb<1": "could not be seen", "rss<1GB": "could not be seen", "fetch.rate>1": "does not consume"} {
		if failed := r.Check(assertions(t, text)); len(failed) != 1 || !strings.Contains(failed[0].Got, want) {
			t.Errorf("%s: %v; want %q", text, failed, want)
		}
	}
	r.Latencies = nil
	if failed := r.Check(assertions(t, "p50<1s")); len(failed) != 1 {
		t.Error("a bound on a latency that was not measured holds")
	}
}

func TestAssertionsThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"p99":             "no comparison",
		"p99 5ms":         "'p99<5ms'",
		"p99!5ms":         "a comparison is one of",
		"p99<5":           "has no unit: write for example 5ms",
		"p99<5parsecs":    "not a unit here",
		"p99<fast":        "not a number",
		"p99<":            "not a number",
		"p9<5ms":          "no metric",
		"p101<5ms":        "", // p10.1
		"maxx<5ms":        "did you mean max",
		"errosr==0":       "did you mean errors",
		"prodce.p99<5ms":  "did you mean produce",
		"produce.rss<1GB": "of the whole broker",
		"rate>5MB/s":      "not a unit here",
		"errors==x":       "not a number",
		"<5ms":            "no metric",
	} {
		_, err := ParseAssertion(text)
		switch {
		case want == "" && err != nil, want != "" && err == nil:
			t.Errorf("%s: %v; want %q", text, err, want)
		case want != "" && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text)):
			t.Errorf("%s: %v; want it named and %q", text, err, want)
		}
	}
}
