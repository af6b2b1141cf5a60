package workload

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/core"
)

// ombKeys are the keys of OpenMessaging Benchmark's workloads (its class Workload). A key
// with no function is refused when it asks for something: a run without it would be
// another one.
var ombKeys = map[string]func(o *ombWorkload, v string) error{
	"name":                    func(o *ombWorkload, v string) error { o.w.Name = v; return nil },
	"topics":                  func(o *ombWorkload, v string) error { return number(v, &o.w.Topics) },
	"partitionsPerTopic":      func(o *ombWorkload, v string) error { return number(v, &o.w.Partitions) },
	"messageSize":             func(o *ombWorkload, v string) error { return number(v, &o.w.RecordSize) },
	"payloadFile":             func(o *ombWorkload, v string) error { o.file = v; return nil },
	"subscriptionsPerTopic":   func(o *ombWorkload, v string) error { return number(v, &o.subscriptions) },
	"consumerPerSubscription": func(o *ombWorkload, v string) error { return number(v, &o.consumers) },
	"producersPerTopic":       func(o *ombWorkload, v string) error { return number(v, &o.producers) },
	"producerRate":            (*ombWorkload).rate,
	"consumerBacklogSizeGB":   (*ombWorkload).backlog,
	"warmupDurationMinutes":   func(o *ombWorkload, v string) error { return minutes(v, &o.w.Warmup) },
	"testDurationMinutes":     func(o *ombWorkload, v string) error { return minutes(v, &o.w.Duration) },
	"keyDistributor":          (*ombWorkload).keys,
	"useRandomizedPayloads": func(o *ombWorkload, v string) (err error) {
		o.random, err = strconv.ParseBool(v)
		return err
	},
	"randomBytesRatio": func(o *ombWorkload, v string) error {
		if f, err := strconv.ParseFloat(v, 64); err != nil {
			return err
		} else if f < 1 {
			o.note("randomBytesRatio %s: the payload here is random throughout, so it does not compress", v)
		}
		return nil
	},
	"randomizedPayloadPoolSize": func(o *ombWorkload, v string) error {
		o.note("randomizedPayloadPoolSize %s: the number of different payloads follows from the batch size here", v)
		return nil
	},
	"acceptableBacklog": func(o *ombWorkload, v string) error {
		o.note("acceptableBacklog %s has no effect: there is no search for a sustainable rate", v)
		return nil
	},
	"producerStartRate": func(o *ombWorkload, v string) error {
		o.note("producerStartRate %s has no effect: there is no search for a sustainable rate", v)
		return nil
	},
	"producerIncrementRate":              nil,
	"producerIncrementSeconds":           nil,
	"messageRateReceivedForSubscription": nil,
	"producerPauseBeforeDrain":           nil,
	"producerPauseDuringDrain":           nil,
}

type ombWorkload struct {
	w                                   Workload
	subscriptions, consumers, producers int
	file                                string
	random                              bool
	rated                               bool
	notes                               []string
}

func (o *ombWorkload) note(format string, args ...any) {
	o.notes = append(o.notes, fmt.Sprintf(format, args...))
}

// isOMB says whether the keys are OpenMessaging Benchmark's: theirs are in camel case,
// ours never are.
func isOMB(entries []entry) bool {
	for _, e := range entries {
		if _, ok := ombKeys[e.key]; ok && strings.ToLower(e.key) != e.key {
			return true
		}
	}
	return false
}

func omb(entries []entry, name string) (Workload, []string, error) {
	o := &ombWorkload{w: New(EndToEnd), producers: 1}
	o.w.Name, o.w.Client, o.w.Warmup = name, Franz, Time(time.Minute)
	for _, e := range entries {
		set, ok := ombKeys[e.key]
		if !ok {
			return o.w, nil, fmt.Errorf("%d: OpenMessaging Benchmark has no key %q%s", e.line, e.key, core.DidYouMean(e.key, ombNames()))
		}
		v := o.filled(e)
		if set == nil {
			if v == "0" {
				continue
			}
			return o.w, nil, fmt.Errorf("%d: %s is not supported: remove it to run without", e.line, e.key)
		}
		if err := set(o, v); err != nil {
			return o.w, nil, fmt.Errorf("%d: %s: %w", e.line, e.key, err)
		}
	}
	if err := o.settle(); err != nil {
		return o.w, nil, fmt.Errorf(" %w", err)
	}
	return o.w, o.notes, nil
}

// filled is the value, with the default of a shell's variable in its place.
func (o *ombWorkload) filled(e entry) string {
	if !strings.HasPrefix(e.value, "${") || !strings.HasSuffix(e.value, "}") {
		return e.value
	}
	_, v, ok := strings.Cut(e.value[2:len(e.value)-1], ":-")
	if !ok {
		return e.value
	}
	o.note("%s is %s, the default of %s", e.key, v, e.value)
	return v
}

func (o *ombWorkload) settle() error {
	w := &o.w
	if o.producers < 1 {
		return fmt.Errorf("producersPerTopic: 0 is not supported: a run without producers is kind: consume")
	}
	w.Producers = o.producers * w.Topics
	w.Groups, w.Consumers = o.subscriptions, o.subscriptions*o.consumers*w.Topics
	if w.Consumers == 0 {
		w.Kind, w.Groups = Produce, 0
		if w.Backlog > 0 {
			return fmt.Errorf("consumerBacklogSizeGB without consumers: nobody would read the backlog")
		}
	}
	if w.Backlog > 0 {
		w.Kind = Mixed
		o.note("consumerBacklogSizeGB: the run ends after testDurationMinutes, not when the backlog is drained")
	}
	if w.Topics > 1 && w.Groups > 0 {
		o.note("each of the %d groups has %d members that share out all %d topics; there, each member reads one topic", w.Groups, w.Consumers/w.Groups, w.Topics)
	}
	switch {
	case o.file != "" && !o.random:
		w.Payload = o.file
		o.note("payloadFile: each line of %s is a record here; there, the whole file is the payload", o.file)
	case o.file != "":
		o.note("payloadFile has no effect with useRandomizedPayloads")
	}
	if !o.rated {
		o.note("no producerRate: closed loop; there is no search for a sustainable rate")
	}
	o.note("batch size, linger, acks and replication are the driver's there; here they are those of this run")
	return nil
}

func (o *ombWorkload) rate(v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	o.w.Rate, o.rated = n, n > 0
	return err
}

func (o *ombWorkload) backlog(v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	o.w.Backlog = n << 30
	return err
}

func (o *ombWorkload) keys(v string) error {
	o.w.KeySize = 7 // theirs are 7 characters
	switch v {
	case "NO_KEY":
	case "KEY_ROUND_ROBIN":
		o.w.Keys = "sequential"
	case "RANDOM_NANO":
		o.w.Keys = "random"
	default:
		return fmt.Errorf("%q is not one of NO_KEY, KEY_ROUND_ROBIN and RANDOM_NANO", v)
	}
	return nil
}

func number(v string, at *int) (err error) {
	if *at, err = strconv.Atoi(v); err != nil || *at < 0 {
		err = fmt.Errorf("%q is not a number", v)
	}
	return err
}

func minutes(v string, at *Time) error {
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a number of minutes", v)
	}
	*at = Time(n * float64(time.Minute))
	return nil
}

func ombNames() []string {
	var out []string
	for k := range ombKeys {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
