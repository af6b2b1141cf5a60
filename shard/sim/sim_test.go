package sim

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// setting reads an environment variable.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestSim runs SEEDS seeds from FIRST on, or the one that SEED names.
func TestSim(t *testing.T) {
	first, n := setting(t, "FIRST", 1), setting(t, "SEEDS", 100)
	if os.Getenv("SEED") != "" {
		first, n = setting(t, "SEED", 0), 1
	}
	var sum totals
	for seed := first; seed < first+n; seed++ {
		fmt.Fprintf(os.Stderr, "sim: SEED=%d\n", seed) // an assertion of the broker ends the process
		got, _, err := Run(seed)
		if err != nil {
			t.Error(err) // the others may say more
		}
		sum.add(&got)
	}
	t.Logf("%d seeds: %+v", n, sum)
}

func TestARunFollowsFromItsSeed(t *testing.T) {
	for seed := uint64(1); seed < 6; seed++ {
		_, a, err := Run(seed)
		if err != nil {
			t.Fatal(err)
		}
		if _, b, _ := Run(seed); a != b {
			t.Fatalf("seed %d ran in two ways", seed)
		}
	}
}
