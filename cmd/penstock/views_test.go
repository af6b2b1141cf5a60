package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock/cmd/penstock/status"
)

// view asks for one of the admin port's values.
func view[T any](t *testing.T, admin, path string) (v T) {
	t.Helper()
	code, body := get("http://" + admin + path)
	if code != 200 {
		t.Fatalf("%s: %d %s", path, code, body)
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v: %s", path, err, body)
	}
	return v
}

// The views say what has happened: to the shards, topics, groups and clients.
func TestViewsSayWhatHappened(t *testing.T) {
	_, f := busyBroker(t)
	shards := view[status.Shards](t, f.Admin, status.ShardsPath)
	var sum status.Shard
	for i, s := range shards.Shards {
		if s.ID != i || s.At <= 0 || s.Busy <= 0 || s.Busy > s.At || len(s.Produce.Counts) != len(s.Produce.Bounds)+1 {
			t.Errorf("%+v", s)
		}
		sum.Requests += s.Requests
		sum.Produces += s.Produces
		sum.Fetches += s.Fetches
		sum.Batches += s.Batches
		sum.Connections += s.Connections
		sum.Partitions += s.Partitions
		for _, n := range s.Produce.Counts {
			sum.Messages += n
		}
	}
	if len(shards.Shards) != 2 || shards.Version != version || shards.Uptime <= 0 || shards.At.IsZero() ||
		sum.Produces != 10 || sum.Messages != 10 || sum.Fetches != 1 || sum.Requests != 14 || sum.Batches != 12 || sum.Connections != 1 || sum.Partitions != 2+offsetsParts {
		t.Errorf("%+v %+v", shards, sum)
	}
	topics := view[[]status.Topic](t, f.Admin, status.TopicsPath)
	if len(topics) != 2 || topics[0].Name != offsetsTopic || !topics[0].Internal || topics[1].Name != "seen" || topics[1].Internal || topics[1].Durability != "synced" || len(topics[1].Partitions) != 2 {
		t.Fatalf("%+v", topics)
	}
	for i, p := range topics[1].Partitions {
		if p.Index != int32(i) || p.Start != 0 || p.High != 5 || p.End != 5 || p.Bytes < 100 || p.Appended != p.Bytes || p.Bad != "" || p.At <= 0 {
			t.Errorf("%+v", p)
		}
	}
	groups := view[[]status.Group](t, f.Admin, status.GroupsPath)
	if len(groups) != 1 || groups[0].Name != "readers" || groups[0].State != "Empty" || groups[0].Lag != 3 || len(groups[0].Offsets) != 2 || groups[0].At <= 0 {
		t.Fatalf("%+v", groups)
	}
	if o := groups[0].Offsets; o[0] != (status.GroupOffset{Topic: "seen", Offset: 2, High: 5, Lag: 3}) || o[1] != (status.GroupOffset{Topic: "seen", Partition: 1, Offset: 5, High: 5}) {
		t.Errorf("%+v", o)
	}
	clients := view[[]status.Client](t, f.Admin, status.ClientsPath)
	if len(clients) != 1 || clients[0].ID != "test" || clients[0].Requests != 14 || clients[0].Local != f.Listeners[0].Address || clients[0].BytesIn <= 0 || clients[0].BytesOut <= 0 || clients[0].Age <= 0 {
		t.Errorf("%+v", clients)
	}
}

// There is one style of names in all of the admin port's JSON. Topics, groups and settings
// of people's own are values in it, and no names.
func TestNamesOfTheAdminPort(t *testing.T) {
	_, f := busyBroker(t)
	name := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	for _, path := range []string{"/v1/status", status.ShardsPath, status.TopicsPath, status.GroupsPath, status.ClientsPath, "/healthz", "/readyz"} {
		walkNames(view[any](t, f.Admin, path), func(key string) {
			if !name.MatchString(key) {
				t.Errorf("%s: %s", path, key)
			}
		})
	}
	if name.MatchString("BytesIn") || name.MatchString("bytes-in") {
		t.Error("every name passes")
	}
}

func walkNames(v any, fn func(key string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			fn(key)
			walkNames(x, fn)
		}
	case []any:
		for _, x := range v {
			walkNames(x, fn)
		}
	}
}

// Profiles come from the admin port, and before clients are served it says so instead of
// showing a broker with nothing in it.
func TestBeforeThereIsSomethingToSee(t *testing.T) {
	p := launch(t, small(t.TempDir(), memoryDir(t))...)
	if code, body := get("http://" + p.ready().Admin + "/debug/pprof/goroutine?debug=1"); code != 200 || !strings.Contains(body, "netio") {
		t.Errorf("%d %.300s", code, body)
	}
	s := &server{}
	s.enter(phaseRecovering)
	eyes := s.viewer()
	for path, v := range s.views(eyes) {
		if _, err := v(); err == nil || !strings.Contains(err.Error(), phaseRecovering) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if m := s.metrics(eyes); m.Source() != nil || m.Broker().Ready {
		t.Error("metrics of a broker that does not run yet")
	}
}
