package page

import (
	"net/http"
	"time"

	"apnsbridge/cmd/apnsbridge/report"
)

// providers is what providers.html shows.
type providers struct {
	Now       time.Time
	Sentences []string
	Listed    []report.Provider
	More      int
}

// providersListed is how many providers the page shows at most; /api/providers.csv has
// all.
const providersListed = 200

// WriteProviders answers with the page of those who still speak the old protocol.
func WriteProviders(w http.ResponseWriter, now time.Time, all []report.Provider, sentences []string) {
	p := providers{Now: now, Sentences: sentences, Listed: all}
	if p.More = len(all) - providersListed; p.More > 0 {
		p.Listed = all[:providersListed]
	}
	write(w, "providers.html", p)
}
