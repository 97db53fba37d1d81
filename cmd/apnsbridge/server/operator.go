package server

import "net/http"

// command is what an operator has to say about an app, told by its name in the
// path: do carries it out, and done says so in the log.
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
