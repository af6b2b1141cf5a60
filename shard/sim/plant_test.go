//go:build plant_early_ack

package sim

import "testing"

// TestThePlantedMistakeIsFound runs a broker that acknowledges before it syncs.
func TestThePlantedMistakeIsFound(t *testing.T) {
	for seed := uint64(1); seed <= 100; seed++ {
		if _, _, err := Run(seed); err != nil {
			t.Logf("found: %.200s", err)
			return
		}
	}
	t.Fatal("100 seeds have not found an acknowledgement before the sync")
}
