package kafka

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/codec/batch"
)

// The files are Produce requests as clients sent them, without the length: kcat 1.7.1
// (librdkafka 2.0.2, version 7) and the Java client 4.3.1 (version 13).
func TestRequestsOfRealClientsAreDecoded(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.frame")
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		frame, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		h, err := ReadHeader(frame)
		if err != nil {
			t.Fatal(err)
		}
		var q ProduceRequest
		if !agree(t, h.Key, h.Version, h.Body, &q, nil) {
			t.Fatal("refused")
		}
		if len(q.Topics) != 1 || len(q.Topics[0].Partitions) != 1 || q.Acks != -1 || q.TransactionalID != nil {
			t.Errorf("%s: %s", f, produceText(&q))
		}
		if h, err := batch.Valid(q.Topics[0].Partitions[0].Records); err != nil || h.Count != 3 {
			t.Errorf("%s: %v %+v", f, err, h)
		}
	}
}
