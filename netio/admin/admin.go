// Package admin is the HTTP port for people and their tools, on loopback: health,
// readiness, status, metrics and profiles. It shares nothing with the loops; what it shows
// are snapshots that the shards publish or make when they are asked.
package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Source is where the answers come from. Any goroutine may call its functions.
type Source struct {
	// Health is nil while every loop turns; else it says which does not.
	Health func() error
	// Ready is nil while clients are served; else it says why not.
	Ready func() error
	// Status is everything the start-up banner says, and counters, as JSON values.
	Status func() any
	// Views are further JSON values by path. An error is 503: there is nothing to see yet.
	Views map[string]func() (any, error)
	// Metrics serves /metrics; nil: there is none.
	Metrics http.Handler
}

// Server is the running admin port.
type Server struct {
	http *http.Server
	addr net.Addr
}

// Listen starts serving on addr.
func Listen(addr string, src Source) (*Server, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	quiet := log.New(io.Discard, "", 0) // it would write lines of its own between ours
	s := &Server{http: &http.Server{Handler: ours(addr, routes(src)), ErrorLog: quiet, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}, addr: ln.Addr()}
	go func() { _ = s.http.Serve(ln) }() // ends with Close
	return s, nil
}

func routes(src Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", check(src.Health))
	mux.HandleFunc("GET /readyz", check(src.Ready))
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, src.Status())
	})
	for path, view := range src.Views {
		mux.HandleFunc("GET "+path, show(view))
	}
	if src.Metrics != nil {
		mux.Handle("GET /metrics", src.Metrics)
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	list := index(src)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, list) })
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		text(w, http.StatusNotFound, fmt.Sprintf("there is no %q here; there are:\n\n%s", r.URL.Path, list))
	})
	return mux
}

// index is what there is to ask for, a line each.
func index(src Source) string {
	lines := []string{"/healthz         200 while every loop turns", "/readyz          200 while clients are served",
		"/v1/status       all that the start has said, and counters, as JSON"}
	lines = append(lines, slices.Sorted(maps.Keys(src.Views))...)
	if src.Metrics != nil {
		lines = append(lines, "/metrics         for Prometheus")
	}
	return strings.Join(append(lines, "/debug/pprof/    profiles, for go tool pprof", ""), "\n")
}

// ours refuses requests by a name that is not this port's: a page in somebody's browser whose
// name has been made to resolve to 127.0.0.1 would else read everything here. An address is
// no name, and who sends no Host is no browser.
func ours(addr string, next http.Handler) http.Handler {
	configured, _, _ := net.SplitHostPort(addr)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
		name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
		if _, err := netip.ParseAddr(name); err != nil && name != "" && name != "localhost" && name != configured {
			text(w, http.StatusForbidden, fmt.Sprintf("the admin port does not answer to the name %q, for any page in a browser could have it point here; "+
				"ask by address or by localhost, as in http://localhost:%s%s, or have the proxy in between send such a Host\n", name, port(r), r.URL.Path))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// port is the one that a request came in on.
func port(r *http.Request) string {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return strconv.Itoa(at.Port)
	}
	return "9644"
}

func text(w http.ResponseWriter, code int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, s) // the client may be gone
}

// Addr is the address that is served.
func (s *Server) Addr() string { return s.addr.String() }

// Close stops serving; requests under way have a second to end.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return s.http.Shutdown(ctx)
}

func check(f func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := f(); err != nil {
			unavailable(w, err)
			return
		}
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	}
}

func show(f func() (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		v, err := f()
		if err != nil {
			unavailable(w, err)
			return
		}
		write(w, http.StatusOK, v)
	}
}

func unavailable(w http.ResponseWriter, err error) {
	write(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable", "reason": err.Error()})
}

func write(w http.ResponseWriter, code int, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, fmt.Sprintf("cannot encode the answer: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // the client may be gone
}
