package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestSelect(t *testing.T) {
	known := []string{"orders", "orders-eu", "payments", "a.b"}
	for _, c := range []struct {
		wanted []string
		regex  bool
		want   string
	}{
		{[]string{"payments", "nosuch"}, false, "nosuch payments"},
		{[]string{"orders*", "orders"}, false, "orders orders-eu"},
		{[]string{"a.?"}, false, "a.b"},
		{[]string{"^o", "s$"}, true, "orders orders-eu payments"},
		{[]string{"x*"}, false, `! nothing fits "x*"; penstock topic list shows what there is`},
		{[]string{"["}, false, `! "[" is not a pattern: a [ has no end`},
		{[]string{"("}, true, `! "(" is not a regular expression`},
	} {
		got, err := Select(c.wanted, known, c.regex, "penstock topic list")
		s := strings.Join(got, " ")
		if err != nil {
			s = "! " + err.Error()
		}
		if !strings.HasPrefix(s, c.want) || err == nil && s != c.want {
			t.Errorf("%v: %s; want %s", c.wanted, s, c.want)
		}
		if !slices.IsSorted(got) {
			t.Errorf("%v: %v is not sorted", c.wanted, got)
		}
	}
}
