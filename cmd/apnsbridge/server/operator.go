package server

import (
	"net/http"
	"net/url"
	"strings"
)

// command handles an operator's command on an app, whose name is in the path: do carries it
// out, and done is logged.
func (s *Service) command(done string, do func(app string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		app := r.PathValue("name")
		if err := do(app); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		s.log.Info().Str("app", app).Msg(done)
		answerJSON(w, struct {
			App     string `json:"app"`
			Waiting int    `json:"waiting"`
		}{app, s.bridge.Stats().Apps[app].Waiting.Notifications})
	}
}

// onPage makes a button of the page lead back to that page; other clients get next's answer.
func onPage(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			next(w, r)
			return
		}
		answer := &heldAnswer{ResponseWriter: w}
		next(answer, r)
		if answer.status >= http.StatusBadRequest {
			return
		}
		app := r.PathValue("name")
		if app == "" {
			app = r.FormValue("app")
		}
		w.Header().Del("Content-Type")
		http.Redirect(w, r, "/apps/"+url.PathEscape(app), http.StatusSeeOther)
	}
}

// heldAnswer passes on only errors.
type heldAnswer struct {
	http.ResponseWriter
	status int
}

func (h *heldAnswer) WriteHeader(status int) {
	if h.status = status; status >= http.StatusBadRequest {
		h.ResponseWriter.WriteHeader(status)
	}
}

func (h *heldAnswer) Write(b []byte) (int, error) {
	if h.status >= http.StatusBadRequest {
		return h.ResponseWriter.Write(b)
	}
	return len(b), nil
}
