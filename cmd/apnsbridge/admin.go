package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin is the port for operators and their machines.
type admin struct {
	listener net.Listener
	server   http.Server
	stopping atomic.Bool
}

func newAdmin(address string, s *service) (*admin, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(newStatsCollector(s), s.old)
	a := &admin{listener: listener}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { a.ready(w, s) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("POST /feedback/again", a.changes(s.feedbackAgain))
	a.server = http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	return a, nil
}

// ready answers 200 while new providers are welcome. Apps that APNs does not
// serve at present are named; where that is all of them, no provider is, nor
// while the store cannot be written. Damaged files are named until they are gone.
func (a *admin) ready(w http.ResponseWriter, s *service) {
	problems, unwritable := s.bridge.Problems(), s.store.Failing()
	if a.stopping.Load() || unwritable != nil || len(problems) == len(s.current.Load().apps) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	switch {
	case a.stopping.Load():
		fmt.Fprintln(w, "stopping")
	case unwritable != nil:
		fmt.Fprintf(w, "the store cannot be written: %v\n", unwritable)
	case len(problems) == 0:
		fmt.Fprintln(w, "ok")
	}
	for _, app := range slices.Sorted(maps.Keys(problems)) {
		fmt.Fprintf(w, "%s: %s\n", app, problems[app])
	}
	damaged, err := s.store.Damaged()
	for _, path := range damaged {
		fmt.Fprintf(w, "%s was damaged and set aside: move it away when you have seen to it\n", path)
	}
	if err != nil {
		fmt.Fprintf(w, "the store's directory cannot be read: %v\n", err)
	}
}

func (a *admin) serve() error {
	if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin port: %w", err)
	}
	return nil
}

func (a *admin) close() error {
	return errors.Join(a.server.Close(), ignoreClosed(a.listener.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
