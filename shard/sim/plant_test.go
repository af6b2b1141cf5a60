//go:build plant

package sim

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/penstock/penstock/shard"
	"github.com/penstock/penstock/shard/meta"
)

const (
	plantName  = "PENSTOCK_PLANT" // which mistake the process makes
	plantSeeds = 300
)

// TestPlantedMistakesAreFound runs brokers that make a mistake, each in a process of its
// own: an assertion of the broker may be what finds it.
func TestPlantedMistakesAreFound(t *testing.T) {
	if os.Getenv(plantName) != "" {
		t.Skip("this process makes a mistake itself")
	}
	for _, name := range slices.Concat(shard.Mistakes(), meta.Mistakes()) {
		t.Run(name, func(t *testing.T) {
			c := exec.Command(os.Args[0], "-test.run=^TestTheMistakeOfThisProcess$", "-test.v")
			c.Env = append(os.Environ(), plantName+"="+name)
			out, err := c.CombinedOutput()
			if err == nil {
				t.Fatalf("%d seeds have not found it", plantSeeds)
			}
			if len(out) > 400 {
				out = out[:400]
			}
			t.Logf("found: %s", out)
		})
	}
}

// TestTheMistakeOfThisProcess fails, or ends the process, when the mistake is found.
func TestTheMistakeOfThisProcess(t *testing.T) {
	name := os.Getenv(plantName)
	if name == "" {
		t.Skip("no mistake is planted")
	}
	shard.Plant(name)
	meta.Plant(name)
	for seed := uint64(1); seed <= plantSeeds; seed++ {
		if _, _, err := Run(seed); err != nil {
			t.Fatal(err)
		}
	}
}
