package result

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
)

// writeCSV writes the series, one line per interval, under a line of names that carry
// their units. The cores of the machine come last, one column each.
func (r *Result) writeCSV(w io.Writer) error {
	cores := 0
	for _, s := range r.Series {
		cores = max(cores, len(s.Cores))
	}
	head := []string{"at_s", "interval_s", "warmup", "produced_records", "produced_bytes", "consumed_records", "consumed_bytes", "errors", "backlog_records",
		"p50_ns", "p99_ns", "p999_ns", "max_ns", "load_cpus", "broker_cpus"}
	for i := range cores {
		head = append(head, "cpu"+strconv.Itoa(i)+"_busy")
	}
	c := csv.NewWriter(w)
	if err := c.Write(head); err != nil {
		return err
	}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	f := func(v float64) string { return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64) }
	for _, s := range r.Series {
		row := []string{f(s.At), f(s.Seconds), strconv.FormatBool(s.Warm), n(s.Produced), n(s.ProducedB), n(s.Consumed), n(s.ConsumedB), n(s.Errors), n(s.Backlog),
			n(s.P50), n(s.P99), n(s.P999), n(s.Max), f(s.LoadCPU), f(s.BrokerCPU)}
		for _, v := range s.Cores {
			row = append(row, f(v))
		}
		for len(row) < len(head) {
			row = append(row, "")
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}
