package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func ask(t *testing.T, method, url string) (code int, kind, body string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(b)
}

// The answers are those of the source at the moment of the question.
func TestAnswersAreOfTheMoment(t *testing.T) {
	var ready atomic.Bool
	s, err := Listen("127.0.0.1:0", Source{
		Health: func() error { return nil },
		Ready: func() error {
			if !ready.Load() {
				return errors.New("the broker is recovering the data")
			}
			return nil
		},
		Status: func() any { return map[string]any{"ready": ready.Load()} },
	})
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + s.Addr()
	for _, on := range []bool{false, true, false} {
		ready.Store(on)
		want := map[bool]int{true: 200, false: 503}[on]
		code, kind, body := ask(t, "GET", url+"/readyz")
		var answer struct{ Status, Reason string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil || code != want || kind != "application/json" || (answer.Status == "ok") != on || (answer.Reason == "") != on {
			t.Errorf("readyz: %d %s %s %v", code, kind, body, err)
		}
		if code, _, body := ask(t, "GET", url+"/healthz"); code != 200 || !strings.Contains(body, "ok") {
			t.Errorf("healthz: %d %s", code, body)
		}
		if code, _, body := ask(t, "GET", url+"/v1/status"); code != 200 || strings.Contains(body, "true") != on {
			t.Errorf("status: %d %s", code, body)
		}
	}
	if code, _, _ := ask(t, "POST", url+"/readyz"); code != 405 {
		t.Errorf("POST: %d", code)
	}
	if code, _, _ := ask(t, "GET", url+"/other"); code != 404 {
		t.Errorf("another path: %d", code)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, body := ask(t, "GET", url+"/healthz"); code != 0 {
		t.Errorf("after Close: %d %s", code, body)
	}
}

// What cannot be shown is an error, and not half an answer.
func TestStatusThatCannotBeShown(t *testing.T) {
	s, err := Listen("127.0.0.1:0", Source{Status: func() any { return func() {} }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if code, _, body := ask(t, "GET", "http://"+s.Addr()+"/v1/status"); code != 500 || !strings.Contains(body, "cannot encode") {
		t.Errorf("%d %s", code, body)
	}
	if _, err := Listen(s.Addr(), Source{}); err == nil {
		t.Error("the same port twice")
	}
}

// A view that has nothing to show yet says why; metrics and profiles are there.
func TestViewsMetricsProfiles(t *testing.T) {
	var on atomic.Bool
	s, err := Listen("127.0.0.1:0", Source{
		Views: map[string]func() (any, error){"/v1/things": func() (any, error) {
			if !on.Load() {
				return nil, errors.New("the broker is starting")
			}
			return []int{1, 2}, nil
		}},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metric 1\n") }),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	url := "http://" + s.Addr()
	if code, _, body := ask(t, "GET", url+"/v1/things"); code != 503 || !strings.Contains(body, "is starting") {
		t.Errorf("%d %s", code, body)
	}
	on.Store(true)
	var things []int
	if code, kind, body := ask(t, "GET", url+"/v1/things"); code != 200 || kind != "application/json" || json.Unmarshal([]byte(body), &things) != nil || len(things) != 2 {
		t.Errorf("%d %s %s", code, kind, body)
	}
	for path, want := range map[string]string{"/metrics": "metric 1\n", "/debug/pprof/": "goroutine", "/debug/pprof/heap?debug=1": "heap profile", "/debug/pprof/cmdline": "test"} {
		if code, _, body := ask(t, "GET", url+path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, code, body)
		}
	}
	if code, _, _ := ask(t, "POST", url+"/v1/things"); code != 405 {
		t.Errorf("POST: %d", code)
	}
}

// A name that somebody else made point here is not answered to: DNS rebinding.
func TestOnlyOwnNamesAreAnswered(t *testing.T) {
	s, err := Listen("127.0.0.1:0", Source{Health: func() error { return nil }, Metrics: http.NotFoundHandler()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	_, port, _ := strings.Cut(s.Addr(), ":")
	for host, want := range map[string]int{
		s.Addr(): 200, "127.0.0.1": 200, "localhost:" + port: 200, "LocalHost": 200, "localhost.:1": 200, "[::1]:" + port: 200, "[::1]": 200, "192.0.2.7:80": 200,
		"evil.example": 403, "evil.example:" + port: 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "127.1": 403,
	} {
		for _, path := range []string{"/healthz", "/debug/pprof/cmdline", "/"} {
			req, err := http.NewRequest("GET", "http://"+s.Addr()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != want || want == 403 && !strings.Contains(string(b), "http://localhost:"+port+path) {
				t.Errorf("%s of %s: %d %s", path, host, resp.StatusCode, b)
			}
		}
	}
}

// Who comes to the wrong path is told the right ones.
func TestTheIndexNamesWhatThereIs(t *testing.T) {
	ok := func() error { return nil }
	s, err := Listen("127.0.0.1:0", Source{Health: ok, Ready: ok, Status: func() any { return 1 },
		Views: map[string]func() (any, error){"/v1/things": func() (any, error) { return 1, nil }}, Metrics: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	code, kind, list := ask(t, "GET", "http://"+s.Addr()+"/")
	if code != 200 || !strings.HasPrefix(kind, "text/plain") || !strings.Contains(list, "/v1/things") {
		t.Errorf("%d %s %s", code, kind, list)
	}
	for line := range strings.Lines(list) {
		path := strings.Fields(line)[0]
		if code, _, body := ask(t, "GET", "http://"+s.Addr()+path); code != 200 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, _, body := ask(t, "GET", "http://"+s.Addr()+"/v1/thing"); code != 404 || !strings.Contains(body, `no "/v1/thing"`) || !strings.Contains(body, list) {
		t.Errorf("%d %s", code, body)
	}
}
