package shard

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penstock/penstock/core"
)

func TestTheDifferenceOfTwoCatalogsIsWhatChanged(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	byName := map[string]*core.Topic{}
	list := func() []*core.Topic {
		var all []*core.Topic
		for _, tp := range byName {
			all = append(all, tp)
		}
		return core.NewCatalog(1, 0, all).Topics
	}
	made := byte(0)
	for range 500 {
		old := list()
		var gone, changed []string
		for range r.IntN(4) {
			name := fmt.Sprint("t", r.IntN(8))
			if slices.Contains(gone, name) || slices.Contains(changed, name) {
				continue
			}
			was := byName[name]
			switch {
			case was == nil || r.IntN(3) == 0: // created, or deleted and created again
				made++
				byName[name] = &core.Topic{Name: name, ID: core.TopicID{made}}
				changed = append(changed, name)
				if was != nil {
					gone = append(gone, name)
				}
			case r.IntN(2) == 0:
				next := *was
				byName[name] = &next
				changed = append(changed, name)
			default:
				delete(byName, name)
				gone = append(gone, name)
			}
		}
		g, c := difference(old, list())
		for _, d := range []struct {
			what string
			got  []*core.Topic
			want []string
		}{{"gone", g, gone}, {"changed", c, changed}} {
			slices.Sort(d.want)
			if !slices.EqualFunc(d.got, d.want, func(tp *core.Topic, name string) bool { return tp.Name == name }) {
				t.Fatalf("%s: %d topics, want %v", d.what, len(d.got), d.want)
			}
		}
	}
}
