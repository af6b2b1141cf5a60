package top

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/cmd/penstock/status"
)

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	t.Setenv("COLUMNS", "100")
	cmd := Command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

func TestOnce(t *testing.T) {
	f := newFakeAdmin(t)
	got, err := run(t, "--admin", f.addr(), "--interval", "200ms")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"penstock 0.3.0", "imbalance   1.43", "crossed", "audit", "furthest behind", "service-29", "and 10 more clients", "histogram buckets"} {
		if want == "crossed" {
			if strings.Contains(got, want) {
				t.Error("100 columns have no room for all")
			}
			continue
		}
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	got, err = run(t, "--admin", f.addr(), "--interval", "200ms", "-o", "wide")
	if err != nil || !strings.Contains(got, "crossed") || !strings.Contains(got, "service-00") || strings.ContainsRune(got, '\x1b') {
		t.Errorf("wide: %v\n%s", err, got)
	}
}

func TestForms(t *testing.T) {
	f := newFakeAdmin(t)
	for form, decode := range map[string]func([]byte, any) error{"json": json.Unmarshal, "jsonl": json.Unmarshal, "yaml": func(b []byte, v any) error { return yaml.Unmarshal(b, v) }} {
		got, err := run(t, "--admin", f.addr(), "--interval", "200ms", "-o", form)
		if err != nil {
			t.Fatal(err)
		}
		var r map[string]any
		if err := decode([]byte(got), &r); err != nil {
			t.Fatalf("%s: %v\n%s", form, err, got)
		}
		if n := strings.Count(got, "\n"); form == "jsonl" && n != 1 {
			t.Errorf("jsonl has %d lines", n)
		}
		at := func(list string, i int) map[string]any { return r[list].([]any)[i].(map[string]any) }
		total := r["total"].(map[string]any)
		for what, v := range map[string]any{"imbalance": total["imbalance"], "busy": total["busy"], "core": at("cores", 1)["requests_per_second"],
			"p99":        at("cores", 1)["sync_latency"].(map[string]any)["p99_seconds"],
			"partitions": at("topics", 4)["partitions"], "lag": at("groups", 1)["lag"], "offsets": at("groups", 1)["offsets"], "rate": at("groups", 1)["committed_records_per_second"],
			"client": at("clients", 29)["bytes_in_per_second"], "remote": at("clients", 29)["remote"]} {
			if v == nil {
				t.Errorf("%s: there is no %s", form, what)
			}
		}
	}
}

func TestErrorsOfTheAdminPort(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	f := newFakeAdmin(t)
	other := newFakeAdmin(t)
	other.gone[status.ShardsPath] = http.StatusNotFound
	starting := newFakeAdmin(t)
	starting.gone[status.TopicsPath] = http.StatusServiceUnavailable
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--admin", closed.Addr().String()}, cli.ExitUnreachable, []string{"no admin port answers at " + closed.Addr().String(), "connection refused", "penstock serve", "--admin"}},
		{[]string{"--admin", other.addr()}, cli.ExitFailed, []string{"/v1/shards", "not the admin port"}},
		{[]string{"--admin", starting.addr()}, cli.ExitUnreachable, []string{"does not serve yet: starting: journal 2 of 4;"}},
		{[]string{"--admin", f.addr(), "--interval", "1ms"}, cli.ExitUsage, []string{"too short", "200ms"}},
		{[]string{"--admin", "no such host:x"}, cli.ExitUsage, []string{"host:port"}},
		{[]string{"extra"}, cli.ExitUsage, []string{"extra"}},
	} {
		got, err := run(t, append(c.args, "--once")...)
		if cli.ExitCode(err) != c.code {
			t.Errorf("%v: exit code %d; want %d: %v", c.args, cli.ExitCode(err), c.code, err)
		}
		for _, w := range c.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%v: there is no %q in %v", c.args, w, err)
			}
		}
		if got != "" {
			t.Errorf("%v: stdout has %q", c.args, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{"host": "host:9644", "host:1": "host:1", ":9700": "127.0.0.1:9700", "http://127.0.0.1:9644/": "127.0.0.1:9644", "[::1]": "[::1]:9644"} {
		if got := newSource(in, 0).addr; got != want {
			t.Errorf("%q is %q; want %q", in, got, want)
		}
	}
}
