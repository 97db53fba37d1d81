package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"

	"apnsbridge/bridge"
)

// changes lets only those requests through to next that an operator has sent on
// this machine. A web page that the operator looks at can send requests too: it
// cannot set a header for a server of another name, and cannot name this one by
// its address.
func (a *admin) changes(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isLoopback(a.listener.Addr()):
			http.Error(w, "requests that change something are answered only if admin.listen is an address of this machine's own, like 127.0.0.1:9195", http.StatusForbidden)
		case r.Header.Get("X-Apnsbridge") != "yes":
			http.Error(w, "requests that change something need the header X-Apnsbridge: yes", http.StatusForbidden)
		case !namesAddress(r.Host):
			http.Error(w, "requests that change something must name the admin port by its address or as localhost", http.StatusForbidden)
		default:
			next(w, r)
		}
	}
}

func isLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// namesAddress says whether host, with or without a port, is an address or
// localhost, and not a name that somebody else can point to this machine.
func namesAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host == "localhost" || net.ParseIP(host) != nil
}

// feedbackAgain puts what an app's readers were given during the last day back
// on its list.
func (s *service) feedbackAgain(w http.ResponseWriter, r *http.Request) {
	app := r.URL.Query().Get("app")
	if !slices.ContainsFunc(s.current.Load().apps, func(a bridge.App) bool { return a.Name == app }) {
		http.Error(w, fmt.Sprintf("app %q is not configured: say which with ?app=NAME", app), http.StatusNotFound)
		return
	}
	n, err := s.store.Feedback().Again(r.Context(), app)
	s.log.Info().Str("app", app).Int("entries", n).Err(err).Msg("feedback is to be given again")
	if err != nil {
		http.Error(w, fmt.Sprintf("%d entries are back on the list, and then: %v: ask again for the others", n, err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(struct {
		App     string `json:"app"`
		Entries int    `json:"entries"`
	}{app, n})
}
