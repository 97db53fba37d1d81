package server

import (
	"net/http"
	"strings"
	"testing"

	"apnsbridge/bridge/apnssim"
)

// An operator's command about an app needs the header for requests that change something, and
// an app that exists.
func TestOperatorsWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	for _, verb := range []string{"try", "believe"} {
		for _, tt := range []struct {
			name, method, app string
			header            http.Header
			status            int
			want              string
		}{
			{"said", http.MethodPost, "demo", http.Header{"X-Apnsbridge": {"yes"}}, http.StatusOK, `"app":"demo","waiting":0`},
			{"without the header", http.MethodPost, "demo", http.Header{}, http.StatusForbidden, "X-Apnsbridge"},
			{"another app", http.MethodPost, "news", http.Header{"X-Apnsbridge": {"yes"}}, http.StatusNotFound,
				`no app "news" is configured`},
			{"read only", http.MethodGet, "demo", http.Header{"X-Apnsbridge": {"yes"}}, http.StatusMethodNotAllowed, ""},
		} {
			t.Run(verb+", "+tt.name, func(t *testing.T) {
				status, body, err := w.askAs(t, nil, tt.method, "/apps/"+tt.app+"/"+verb, tt.header)
				if err != nil || status != tt.status || !strings.Contains(body, tt.want) {
					t.Errorf("got %d, %q and error %v, want %d and %q", status, body, err, tt.status, tt.want)
				}
			})
		}
	}
}
