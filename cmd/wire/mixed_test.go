package wire

import (
	"fmt"
	"testing"
)

// TestMixedViews has clients of all views, and of three libraries, on one topic and in one
// group. Each library leads the group once: the first to join computes the assignment.
func TestMixedViews(t *testing.T) {
	t.Parallel()
	a := startAgent(t, "4.3.1")
	one, all := views[0], views[len(views)-1]
	drivers := []driver{franz{one.addr, nil}, java{a, all, "range"}, rdkafka{one.addr, "range"},
		franz{all.addr, nil}, java{a, one, "range"}, rdkafka{all.addr, "range"}}
	names := []string{"franz-go", "java", "librdkafka", "franz-go", "java", "librdkafka"}
	for i, d := range drivers {
		topic := fmt.Sprintf("mixed-%d-%d", runSerial, i)
		next := drivers[(i+1)%3+3*(1-i/3)] // another library in the other view
		runCase(t, "mixed", fmt.Sprintf("topic-of-%s-%d", names[i], i), "mixed", func() error {
			return crossed(topic, d, next)
		})
	}
	for i := range 3 {
		topic := fmt.Sprintf("mixed-%d-group-%d", runSerial, i)
		runCase(t, "mixed", "group-led-by-"+names[i], "mixed", func() error {
			return rebalance(topic, drivers[i], drivers[(i+1)%3], drivers[(i+2)%3], drivers[i+3])
		})
	}
	runCase(t, "mixed", "group-of-both-views", "mixed", func() error {
		return rebalance(fmt.Sprintf("mixed-%d-views", runSerial), drivers[0], drivers[3])
	})
}

// crossed has two clients of two views write to the same partition in turn and each read all
// of it.
func crossed(topic string, a, b driver) error {
	if err := ready(a, topic, 1); err != nil {
		return err
	}
	all := sample(40, 1)
	if err := a.produce(topic, "zstd", true, all[:20]); err != nil {
		return err
	}
	if err := b.produce(topic, "lz4", true, all[20:]); err != nil {
		return err
	}
	for _, d := range []driver{a, b} {
		got, err := d.fetch(topic, 0, 0, len(all))
		if err != nil {
			return err
		}
		if err := same(got, all); err != nil {
			return err
		}
	}
	return nil
}
