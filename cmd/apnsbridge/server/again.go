package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"apnsbridge/bridge"
)

// settlePatience is how long to wait for an app's readers to end. A reader that has got everything
// and still does not end must not hold this up: it has nothing to be given again.
const settlePatience = 5 * time.Second

// feedbackAgain puts the entries that an app's readers were given during the last day back
// on its list.
func (s *Service) feedbackAgain(w http.ResponseWriter, r *http.Request) {
	app := r.URL.Query().Get("app")
	if !slices.ContainsFunc(s.current.Load().apps, func(a bridge.App) bool { return a.Name == app }) {
		http.Error(w, fmt.Sprintf("app %q is not configured: say which with ?app=NAME", app), http.StatusNotFound)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), settlePatience)
	defer cancel()
	s.drainer.Settle(ctx, app)
	n, err := s.list.Again(r.Context(), app)
	s.log.Info().Str("app", app).Int("entries", n).Err(err).Msg("feedback will be given again")
	if err != nil {
		http.Error(w, fmt.Sprintf("%d entries are back on the list, and then: %v: ask again for the others", n, err),
			http.StatusInternalServerError)
		return
	}
	answerJSON(w, struct {
		App     string `json:"app"`
		Entries int    `json:"entries"`
	}{app, n})
}
