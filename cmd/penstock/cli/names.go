package cli

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// Select is the known names that a person means, sorted: a name is itself, known or not;
// one with *, ? or [ is a pattern for whole names; with regex each is a regular
// expression. A pattern that fits nothing is refused, with where to look.
func Select(wanted, known []string, regex bool, where string) ([]string, error) {
	seen := map[string]bool{}
	for _, w := range wanted {
		fits, pattern, err := matcher(w, regex)
		if err != nil {
			return nil, err
		}
		if !pattern {
			seen[w] = true
			continue
		}
		found := false
		for _, k := range known {
			if fits(k) {
				seen[k], found = true, true
			}
		}
		if !found {
			return nil, Fail(ExitFailed, "nothing fits %q; %s shows what there is", w, where)
		}
	}
	out := make([]string, 0, len(seen))
	for n := range seen {
		out = append(out, n)
	}
	slices.Sort(out)
	return out, nil
}

// IsPattern says that Select would look among the known names.
func IsPattern(s string, regex bool) bool { return regex || strings.ContainsAny(s, "*?[") }

func matcher(s string, regex bool) (fits func(string) bool, pattern bool, err error) {
	switch {
	case regex:
		r, err := regexp.Compile(s)
		if err != nil {
			return nil, false, Usage("%q is not a regular expression: %w", s, err)
		}
		return r.MatchString, true, nil
	case IsPattern(s, false):
		if _, err := path.Match(s, ""); err != nil {
			return nil, false, Usage("%q is not a pattern: a [ has no end", s)
		}
		return func(name string) bool { ok, _ := path.Match(s, name); return ok }, true, nil
	}
	return nil, false, nil
}

// completionPatience is how long the Tab key may ask a broker.
const completionPatience = 2 * time.Second

// CompleteTopics gives a shell the names of the topics.
func (c *Conn) CompleteTopics(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, args, prefix, func(ctx context.Context, adm *kadm.Client) ([]string, error) {
		ts, err := adm.ListTopics(ctx)
		return ts.Names(), err
	})
}

// CompleteGroups gives a shell the names of the groups.
func (c *Conn) CompleteGroups(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, args, prefix, func(ctx context.Context, adm *kadm.Client) ([]string, error) {
		gs, err := adm.ListGroups(ctx)
		return gs.Groups(), err
	})
}

func (c *Conn) complete(cmd *cobra.Command, args []string, prefix string, list func(context.Context, *kadm.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	c.Timeout = min(c.Timeout, completionPatience)
	ctx, cancel := c.Context(cmd)
	defer cancel()
	adm, err := c.Admin()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer adm.Close()
	names, err := list(ctx, adm)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, prefix) || slices.Contains(args, n) })
	return names, cobra.ShellCompDirectiveNoFileComp
}

// CompleteWords gives a shell fixed words.
func CompleteWords(words ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, w := range words {
			if strings.HasPrefix(w, prefix) {
				out = append(out, w)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteNothing is for arguments of which a shell knows nothing.
func CompleteNothing(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}
