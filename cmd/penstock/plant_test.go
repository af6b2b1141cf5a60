//go:build plant

package main

import (
	"os"
	"slices"

	"github.com/penstock/penstock/shard"
	"github.com/penstock/penstock/shard/meta"
)

// A binary of this package's tests that is built with the tag plant makes the mistake
// that the environment names.
func init() {
	switch m := os.Getenv("RUN_WITH_MISTAKE"); {
	case m == "":
	case slices.Contains(shard.Mistakes(), m):
		shard.Plant(m)
	case slices.Contains(meta.Mistakes(), m):
		meta.Plant(m)
	default:
		panic("the mistake " + m + " is not known")
	}
}
