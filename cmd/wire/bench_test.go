package wire

import (
	"encoding/json"
	"fmt"
	"strings"
)

// verbsBench puts each kind of load on the broker, over both clients, and looks at what
// the result says of it.
func verbsBench(v verbs, _ string) error {
	for _, line := range []string{
		"produce --rate 500 --durability synced --compression lz4",
		"produce --client franz --rate 500 --idempotent",
		"consume --backlog 256KiB",
		"consume --backlog 256KiB --client franz --groups 1",
		"e2e --rate 500",
		"e2e --rate 500 --client franz --groups 2 --compression zstd",
		"mixed --rate 500 --backlog 256KiB",
		"run end-to-end --topics 2 --producers 2 --consumers 2",
	} {
		args := append(append([]string{"bench"}, strings.Fields(line)...), "--partitions", "2", "--warmup", "100ms", "--for", "500ms", "--no-save", "-o", "json",
			"--assert", "errors==0", "--assert", "p50<30s")
		if !strings.HasPrefix(line, "run") && !strings.HasPrefix(line, "consume") {
			args = append(args, "--producers", "1")
		}
		if !strings.HasPrefix(line, "run") && !strings.HasPrefix(line, "produce") {
			args = append(args, "--consumers", "2")
		}
		out, err := v.ok("", args...)
		if err != nil {
			return err
		}
		var r struct {
			Target             struct{ Software, Durability string }
			Produced, Consumed struct{ Records int64 }
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			return fmt.Errorf("bench %s: %w in %s", line, err, out)
		}
		synced := strings.Contains(r.Target.Durability, "sync by the leader") || strings.HasPrefix(r.Target.Durability, "synced")
		if r.Produced.Records+r.Consumed.Records == 0 || !strings.Contains(r.Target.Software, "enstock") && !strings.Contains(r.Target.Software, "Kafka") || strings.Contains(line, "synced") && !synced {
			return fmt.Errorf("bench %s: %+v", line, r)
		}
	}
	return v.fails(3, "does not hold", "bench", "produce", "--warmup", "0s", "--for", "200ms", "--no-save", "--assert", "p50<1ns")
}
