package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
)

// FuzzReceive gives a session any bytes. It must not panic, and it must answer the same
// however the bytes are cut.
func FuzzReceive(f *testing.F) {
	for i := range codec.Versions {
		r := &codec.Versions[i]
		for v := r.Min; v <= r.Max; v++ {
			req := kmsg.RequestForKey(r.Key)
			req.SetVersion(v)
			f.Add(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, cut := fuzzed(t), fuzzed(t)
		whole.give(b)
		for i := range b {
			cut.give(b[i : i+1])
		}
		if whole.closed != cut.closed || string(whole.out) != string(cut.out) {
			t.Fatalf("whole: closed %v % x\ncut: closed %v % x", whole.closed, whole.out, cut.closed, cut.out)
		}
	})
}

func fuzzed(t *testing.T) *fake {
	f := newFake(t, normalListener, Options{AutoCreate: true, FrameMax: 1 << 20})
	f.topic("t", 0, 1)
	f.topic(offsetsName, 0, 0)
	return f
}

func TestEveryAdvertisedVersionIsAnswered(t *testing.T) {
	for i := range codec.Versions {
		r := &codec.Versions[i]
		for v := r.Min; v <= r.Max; v++ {
			f := fuzzed(t)
			req := kmsg.RequestForKey(r.Key)
			if p, ok := req.(*kmsg.ProduceRequest); ok {
				p.Acks = 1
			}
			f.ask(req, v)
			if f.closed {
				t.Errorf("%s version %d closes the connection", r.Name, v)
			}
		}
	}
}
