package records

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func sampleRecord() (*kgo.FetchPartition, *kgo.Record) {
	return &kgo.FetchPartition{HighWatermark: 9, LastStableOffset: 8, LogStartOffset: 1}, &kgo.Record{
		Topic: "top", Partition: 3, Offset: 7, Key: []byte("key"), Value: []byte("value"), Timestamp: time.UnixMilli(1700000000123),
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "n", Value: []byte{}}, {Key: "m"}}, LeaderEpoch: 2, ProducerID: 5, ProducerEpoch: 6,
	}
}

func TestFormatsOfBothTools(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{`%t [%p] at %o: key %k: %s\n`, "top [3] at 7: key key: value\n"},
		{`%S %K %T %h`, "5 3 1700000000123 h=1,n=,m=NULL"},
		{`%R`, "\x00\x00\x00\x05"},
		{`%o %T`, "7 1700000000123"},
		{`%v %T`, "value 3"},
		{`%V{big32}%v`, "\x00\x00\x00\x05value"},
		{`%d{strftime[%F %T]} %v`, "2023-11-14 22:13:20 value"},
		{`%d{go##15:04}x##}`, "22:13}x"},
		{`%h{%k=%v%}%{ }%H`, "h=1}{ n=}{ m=}{ 3"},
		{`%v{hex}%%%{%}`, "76616c7565%{}"},
		{`%[ %| %] %e %x %y %i`, "1 8 9 2 5 6 1"},
		{`\x41\065\q%s`, "A5qvalue"},
		{`%k{unpack{B$}}%t`, "107%!$(not end-of-input)top"},
		{`%s %v`, "value value"},
		{`\08\\%s`, "\x008\\value"},
	} {
		f, err := newFormatter(c.format, "")
		if err != nil {
			t.Errorf("%s: %v", c.format, err)
			continue
		}
		fp, r := sampleRecord()
		if got := string(f.append(nil, fp, r)); got != c.want {
			t.Errorf("%s writes %q, want %q", c.format, got, c.want)
		}
	}
}

func TestNullsInFormats(t *testing.T) {
	r := &kgo.Record{}
	for _, c := range []struct{ format, null, want string }{
		{`%k|%s|%K|%S`, "", "||-1|-1"},
		{`%k|%v|%K|%V`, "", "||0|0"},
		{`%k|%s|%K|%R`, "NULL", "NULL|NULL|-1|\xff\xff\xff\xff"},
		{`%k|%v`, "NULL", "NULL|NULL"},
	} {
		f, err := newFormatter(c.format, c.null)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.append(nil, nil, r)); got != c.want {
			t.Errorf("%s writes %q, want %q", c.format, got, c.want)
		}
	}
}

func TestFormatsThatAreRefused(t *testing.T) {
	for format, word := range map[string]string{
		`%s %v %T`: "%T{ascii}", `%s %V %K`: "%K{ascii}", `%q`: "%q", `%`: "end", `%v{hex`: "brace", `%h{%k`: "brace", `%d{go##x#}`: "closed", `%d %\`: "unknown",
	} {
		if _, err := newFormatter(format, ""); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s is refused with %v, which lacks %q", format, err, word)
		}
	}
}

func TestReaderLayouts(t *testing.T) {
	for format, want := range map[string]string{
		`%k %s\n`: `%k %v\n`, `%S %s`: `%V %v`, `%R%s`: `%V{big32}%v`, `%T %s\n`: `%d %v\n`, `%k{re#[a-z}]+#} %v`: `%k{re#[a-z}]+#} %v`,
		`%T%t%V%v`: `%T%t%V%v`, `%s\065`: `%v\x35`,
	} {
		got, has, err := readerLayout(format)
		if err != nil || got != want {
			t.Errorf("%s reads as %s (%v), want %s", format, got, err, want)
		}
		if has['v'] != strings.Contains(got, "%v") {
			t.Errorf("%s: a value is found: %v", format, has['v'])
		}
	}
	if _, _, err := readerLayout(`%s %h`); err == nil {
		t.Error("kcat's headers can be read")
	}
}

// FuzzFormat holds that the pre-pass leaves rpk's formats to kgo: what kgo refuses is
// refused, what it takes is taken, and both write the same.
func FuzzFormat(f *testing.F) {
	for _, s := range []string{`%t %v{hex}\n`, `%h{%k{base64}%%%}}%d{strftime##%F##}`, `%s %S %T`, `%k{unpack[<iIqQ$]}`, `%%%{%}`, `%V{big32}%v`, "%h{{}%k}", `%d{go[[06]]}%H`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, format string) {
		fp, r := sampleRecord()
		ours, err := newFormatter(format, "")
		if err == nil {
			ours.append(nil, fp, r)
		}
		l, lerr := parseLayout(format)
		if lerr == nil && joinTokens(l) != format {
			t.Fatalf("the tokens of %q are those of %q", format, joinTokens(l))
		}
		if lerr == nil && l.kcat || strings.ContainsAny(format, "sSRhTK") && lerr == nil && kcatMarked(l) {
			return
		}
		theirs, kerr := kgo.NewRecordFormatter(format)
		if (err == nil) != (kerr == nil) {
			t.Fatalf("%q: ours %v, kgo's %v", format, err, kerr)
		}
		if err != nil {
			return
		}
		// Each has formatted as often, for %i.
		ours, _ = newFormatter(format, "")
		if a, b := string(ours.append(nil, fp, r)), string(theirs.AppendPartitionRecord(nil, fp, r)); a != b {
			t.Fatalf("%q writes %q, and kgo %q", format, a, b)
		}
	})
}

func joinTokens(l layout) (s string) {
	for _, t := range l.tokens {
		s += t.text
	}
	return s
}

func kcatMarked(l layout) bool {
	for _, t := range l.tokens {
		if t.letter != 0 && !t.braced && strings.IndexByte("sSRh", t.letter) >= 0 {
			return true
		}
	}
	return false
}
