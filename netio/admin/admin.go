// Package admin is the HTTP port for people and their tools, on loopback: health,
// readiness and status. It shares nothing with the loops; what it shows are snapshots
// that the shards publish.
package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
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
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", check(src.Health))
	mux.HandleFunc("GET /readyz", check(src.Ready))
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, src.Status())
	})
	quiet := log.New(io.Discard, "", 0) // it would write lines of its own between ours
	s := &Server{http: &http.Server{Handler: mux, ErrorLog: quiet, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}, addr: ln.Addr()}
	go func() { _ = s.http.Serve(ln) }() // ends with Close
	return s, nil
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
			write(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable", "reason": err.Error()})
			return
		}
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	}
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
