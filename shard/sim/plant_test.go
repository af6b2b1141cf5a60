//go:build plant_early_ack || plant_no_fold

package sim

import "testing"

// TestThePlantedMistakeIsFound runs a broker with a mistake in it: see shard/plant_off.go.
func TestThePlantedMistakeIsFound(t *testing.T) {
	for seed := uint64(1); seed <= 100; seed++ {
		if _, _, err := Run(seed); err != nil {
			t.Logf("found: %.200s", err)
			return
		}
	}
	t.Fatal("100 seeds have not found the planted mistake")
}
