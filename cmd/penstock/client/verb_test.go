package client

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

func TestTopicsWithPartitions(t *testing.T) {
	for s, want := range map[string]string{
		"orders":            "[{orders [9]}]",
		"orders:0":          "[{orders [0]}]",
		"o*:0,2-4":          "[{o* [0 2 3 4]}]",
		"orders:":           "!",
		"orders:a":          "!",
		"orders:3-1":        "!",
		"orders:-1":         "!",
		"orders:0-99999999": "!",
	} {
		got, err := parseSets([]string{s}, "9")
		text := fmt.Sprint(got)
		if err != nil {
			if text = "!"; cli.ExitCode(err) != cli.ExitUsage {
				t.Errorf("%q: %v", s, err)
			}
		}
		if text != want {
			t.Errorf("%q: %s; want %s", s, text, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 KiB", 1 << 20: "1.0 MiB", 3 << 29: "1.5 GiB"} {
		if got := bytes(&n); got != want {
			t.Errorf("%d: %s; want %s", n, got, want)
		}
	}
	if bytes(nil) != "-" || number(nil) != "-" {
		t.Error("what is not known is a dash")
	}
}

func TestKafkaLevel(t *testing.T) {
	for want, have := range map[string]map[int16]int16{
		"4.4": {3: 13, 18: 99},
		"2.8": {2: 6},
		"":    {3: -1},
	} {
		if got := KafkaLevel(have); got != want {
			t.Errorf("%v: %s; want %s", have, got, want)
		}
	}
}
