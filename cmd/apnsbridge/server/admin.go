package server

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/pace"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/cmd/apnsbridge/page"
)

// admin is the port for operators and their machines.
type admin struct {
	listener   *bounded
	tls        bool
	server     http.Server
	current    *atomic.Pointer[Assembly] // its access decides about requests
	sameOrigin http.CrossOriginProtection
	strangers  zerolog.Logger // limited to a line a minute, because any stranger can cause one
	stopping   atomic.Bool

	unauthorized, forbidden, handshakesFailed atomic.Uint64
}

func newAdmin(c *config.Config, s *Service) (*admin, error) {
	listener, err := net.Listen("tcp", c.Admin.Listen)
	if err != nil {
		return nil, err
	}
	a := &admin{
		listener:  &bounded{Listener: listener, most: int64(c.Limits.AdminConnections)},
		tls:       c.Admin.Certificate != "",
		current:   &s.current,
		strangers: pace.Lines(s.log, pace.Rate{Count: 1, Per: time.Minute}),
	}
	mux := http.NewServeMux()
	now := func() condition { return s.condition(a.stopping.Load()) }
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", a.probed(
		func(w http.ResponseWriter, _ *http.Request) { now().writeWord(w) },
		a.reads(func(w http.ResponseWriter, _ *http.Request) { now().write(w) })))
	mux.HandleFunc("GET /{$}", a.reads(s.servePage))
	mux.HandleFunc("GET /apps/{name}", a.reads(s.serveApp))
	mux.HandleFunc("GET /providers", a.reads(s.serveProviders))
	mux.HandleFunc("GET /api/providers.json", a.reads(s.serveProvidersJSON))
	mux.HandleFunc("GET /api/providers.csv", a.reads(s.serveProvidersCSV))
	mux.HandleFunc("GET /page.css", a.reads(page.File))
	mux.HandleFunc("GET /page.js", a.reads(page.File))
	mux.HandleFunc("GET /changes", a.reads(func(w http.ResponseWriter, r *http.Request) {
		page.ServeChanges(w, r, refreshEvery, s.past.ended)
	}))
	mux.HandleFunc("GET /metrics", a.reads(s.metrics.Handler().ServeHTTP))
	mux.HandleFunc("GET /api/state.json", a.reads(s.serveState))
	mux.HandleFunc("GET /api/fleet.json", a.reads(s.serveFleet))
	mux.HandleFunc("POST /apps/{name}/move", a.changes(s.serveMove))
	mux.HandleFunc("POST /reload", a.changes(s.serveReload))
	mux.HandleFunc("POST /feedback/again", a.changes(onPage(s.feedbackAgain)))
	mux.HandleFunc("POST /apps/{name}/trace", a.changes(onPage(s.startTrace)))
	mux.HandleFunc("GET /apps/{name}/trace", a.reads(s.showTrace))
	mux.HandleFunc("POST /apps/{name}/try", a.changes(onPage(s.command("the app is tried, on its operator's word",
		s.bridge.Try))))
	mux.HandleFunc("POST /apps/{name}/believe",
		a.changes(onPage(s.command("refused tokens are really bad, on the operator's word", s.bridge.Believe))))
	a.server = http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(troubles{a}, "", 0),
	}
	// One request for each connection, so that access is checked for every request.
	a.server.SetKeepAlivesEnabled(false)
	return a, nil
}

// troubles takes the error log of net/http, which is mostly about failed handshakes.
type troubles struct{ *admin }

func (t troubles) Write(line []byte) (int, error) {
	t.handshakesFailed.Add(1)
	t.refuse("", errors.New(strings.TrimSpace(string(line))))
	return len(line), nil
}

// refuse logs why a client is not answered.
func (a *admin) refuse(address string, why error) {
	a.strangers.Warn().Str("address", address).AnErr("reason", why).Msg("the admin port refuses a stranger")
}

func (a *admin) stats() metrics.Admin {
	return metrics.Admin{
		Connections:      int(a.listener.open.Load()),
		OverLimit:        a.listener.overLimit.Load(),
		HandshakesFailed: a.handshakesFailed.Load(),
		Unauthorized:     a.unauthorized.Load(),
		Forbidden:        a.forbidden.Load(),
	}
}

func (a *admin) serve() error {
	var listener net.Listener = a.listener
	if a.tls {
		listener = tls.NewListener(listener, &tls.Config{
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return a.current.Load().admin.tls(), nil
			},
		})
	}
	if err := a.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
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

// answerJSON answers with a JSON object on one line.
func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(v) // fails only if the client has gone
}
