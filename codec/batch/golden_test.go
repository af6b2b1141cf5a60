package batch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/core"
)

// The files are batches as clients sent them, named by client, version and compression:
// idempotent, three records each, with a key, with a key and no value (Java) or a value
// (kcat), without a key; the first, or with kcat all of them, with two headers.
func TestBatchesOfRealClientsAreTakenAndRead(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.bin")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r := openRules
		if h, err := Parse(b); err == nil {
			r.Now = h.MaxTime
		}
		before := string(b)
		h, code, why := CheckProduce(b, r)
		if code != core.OK || h.Count != 3 || h.Sequence != 0 || h.ProducerID != 42 || string(b) != before {
			t.Errorf("%s: %v %s %+v", f, code, why, h)
		}
		var keys, values []string
		latest := int64(0)
		err = Records(b, h, limit, func(r Record) error {
			keys, values = append(keys, string(r.Key)), append(values, string(r.Value))
			if len(keys) == 1 {
				if v, ok := r.Header("source"); !ok || r.HeaderCount() != 2 || !strings.Contains(f, string(v)) {
					t.Errorf("%s: header %q", f, v)
				}
			}
			latest = max(latest, r.Timestamp)
			return nil
		})
		const first = `{"n":1,"name":"a stanza","text":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}`
		if err != nil || strings.Join(keys, ",") != "key-1,key-2," || values[0] != first || values[2] != "no key" || latest != h.MaxTime {
			t.Errorf("%s: %v %q %q %d %d", f, err, keys, values, latest, h.MaxTime)
		}
	}
}
