package result

import (
	"encoding/xml"
	"errors"
	"html"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// selfContained refuses a page that could ask for anything outside of itself.
func selfContained(page string) error {
	if !strings.Contains(page, `http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"`) {
		return errors.New("the policy that forbids requests is not in the head")
	}
	for _, bad := range []string{`<link`, `<iframe`, `<img`, `<object`, `<embed`, `<form`, `<base`, ` src=`, ` href=`, ` srcset=`, ` action=`, ` poster=`, `url(`, `@import`, `@font-face`,
		`fetch(`, `XMLHttpRequest`, `WebSocket`, `EventSource`, `sendBeacon`, `import(`, `import `, `http-equiv="refresh"`, `eval(`, `innerHTML`} {
		if at := strings.Index(strings.ToLower(page), strings.ToLower(bad)); at >= 0 {
			return errors.New("there is " + bad + " in it: " + page[max(0, at-40):min(len(page), at+60)])
		}
	}
	return nil
}

var scripts = regexp.MustCompile(`(?s)(<(script|style)[^>]*>).*?(</(script|style)>)`)

// wellFormed reads a page as strictly as XML, without what its scripts and styles hold.
func wellFormed(page string) error {
	d := xml.NewDecoder(strings.NewReader(scripts.ReplaceAllString(strings.TrimPrefix(page, "<!DOCTYPE html>"), "$1$3")))
	for {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func pageOf(t *testing.T, r *Result) string { return string(encode(t, r, "html")) }

func checkPage(t *testing.T, page string) {
	t.Helper()
	if err := selfContained(page); err != nil {
		t.Error(err)
	}
	if err := wellFormed(page); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"NaN", "Inf", "ZgotmplZ", "%!", "<nil>"} {
		if at := strings.Index(page, bad); at >= 0 {
			t.Errorf("there is %s in it: %s", bad, page[max(0, at-80):min(len(page), at+20)])
		}
	}
	for id, n := range idsOf(page) {
		if n > 1 {
			t.Errorf("%d elements are named %s", n, id)
		}
	}
}

func idsOf(page string) map[string]int {
	ids := map[string]int{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		ids[m[1]]++
	}
	return ids
}

func TestThePageIsWholeAndHoldsEveryFigure(t *testing.T) {
	r := aRun.run(t)
	r.Notes = append(r.Notes, "the disk is <slow>")
	r.Check(assertions(t, "p99<5ms", "e2e.p999<4ms"))
	page := pageOf(t, r)
	checkPage(t, page)
	words := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(scripts.ReplaceAllString(page, "\n"), "\n"))
	lines := map[string]bool{}
	for _, l := range strings.Split(words, "\n") {
		lines[l] = true
	}
	want := []string{"✓ holds", "✗ fails", "e2e.p999<4ms", r.Asserted[1].Got, shellLine(r.Command),
		grouped(r.Produced.Records) + " records, " + Bytes(float64(r.Produced.Bytes)) + ", in " + grouped(r.Produced.Requests) + " requests; " + grouped(int64(r.Produced.RecordsS+0.5)) + " records/s, " + Bytes(r.Produced.BytesS) + "/s"}
	want = append(want, r.Notes...)
	for _, l := range r.Latencies {
		for _, v := range l.Hist.ValueAtPercentilesSlice([]float64{50, 75, 90, 95, 99, 99.9}) {
			want = append(want, Duration(float64(v)))
		}
		want = append(want, Duration(float64(l.Max)), Duration(l.Mean), grouped(l.N))
	}
	for _, row := range r.seriesTable().Rows {
		want = append(want, row...)
	}
	for _, f := range []facts{r.outcomeFacts(), workloadFacts(&r.Workload), r.targetFacts(), machineFacts(r.Machine)} {
		for _, row := range f.Rows {
			want = append(want, row[0], row[1])
		}
	}
	m := &r.Machine
	want = append(want, m.Host, m.CPU, m.Kernel, m.FileSystem, m.Disk, m.Governor, m.Congestion, "420 µs median, 3.10 ms worst", r.Target.Software, r.Target.Durability)
	for _, v := range want {
		if !lines[v] {
			t.Errorf("the page does not show %q", v)
		}
	}
	for _, id := range []string{"throughput", "percentiles", "latency", "cores", "cpu", "backlog"} {
		if idsOf(page)[id] != 1 {
			t.Errorf("the plot %s is not there", id)
		}
	}
	if at := strings.Index(page, "Before you read the figures"); at < 0 || at > strings.Index(page, `class="tiles"`) {
		t.Error("the notes do not stand above the figures")
	}
}

// What a result may hold of a broker's words never becomes part of the page.
func TestThePageDoesNotTrustItsWords(t *testing.T) {
	r := short().run(t)
	evil := `"></script><script>alert(1)</script><img src=x onerror=alert(2)>`
	r.Target.Software, r.Workload.Name, r.Notes, r.Command = evil, evil, []string{evil}, []string{evil}
	page := pageOf(t, r)
	if err := wellFormed(page); err != nil {
		t.Error(err)
	}
	if strings.Contains(page, "<img") || strings.Count(page, "<script") != 1+len(r.plots()) {
		t.Error("words of the result became elements")
	}
}

func TestPagesOfLittle(t *testing.T) {
	for name, s := range map[string]shape{"produce": {kind: "produce"}, "consume": {kind: "consume"}, "mixed, many CPUs": {kind: "mixed", cores: 64}} {
		s.seed, s.got, s.latency, s.cpu, s.warm, s.length, s.start = 3, 1000, 5e4, 0.3, 0, 2, aRun.start
		r := s.run(t)
		checkPage(t, pageOf(t, r))
		r.Broker, r.Series = nil, nil
		checkPage(t, pageOf(t, r))
		for i := range r.Latencies {
			r.Latencies[i].Hist.Reset()
		}
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
		checkPage(t, pageOf(t, r))
		if t.Failed() {
			t.Fatal(name)
		}
	}
	checkPage(t, pageOf(t, &Result{}))
}

func TestTheCheckOfThePageFindsMistakes(t *testing.T) {
	page := pageOf(t, short().run(t))
	for _, bad := range []string{`<img src="http://x/y.png"/>`, `<link rel="icon"/>`, `<i style="background: url(x)"></i>`} {
		if selfContained(strings.Replace(page, "</main>", bad+"</main>", 1)) == nil {
			t.Errorf("%s passes as self-contained", bad)
		}
	}
	if wellFormed(strings.Replace(page, "</main>", "", 1)) == nil || wellFormed(strings.Replace(page, "<main>", "<main class=a>", 1)) == nil {
		t.Error("a torn page passes as well formed")
	}
}

// The script must be known to the check as it stands, for it is cut out before the page
// is read as XML.
func TestTheScriptEndsNoElement(t *testing.T) {
	for _, name := range []string{"page.js", "page.css"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "</") {
			t.Errorf("%s holds </ and could end its element", name)
		}
	}
}
