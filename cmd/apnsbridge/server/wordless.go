package server

import (
	"maps"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// wordless notices providers that close their connections at once without a frame.
// Libraries that check the gateway's certificate only after the handshake, as Node's do,
// give no other sign that they reject it.
type wordless struct {
	log zerolog.Logger
	now func() time.Time

	mu   sync.Mutex
	told map[string]time.Time // by app
}

const (
	wordlessEvery  = time.Hour       // between two lines for one app
	wordlessWithin = 2 * time.Second // after the handshake
)

func newWordless(log zerolog.Logger, now func() time.Time) *wordless {
	return &wordless{log: log, now: now, told: make(map[string]time.Time)}
}

// ended takes note that a client of app, connected since the given time, has sent nothing.
func (w *wordless) ended(app, client string, since time.Time) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.told, func(_ string, at time.Time) bool { return now.Sub(at) >= wordlessEvery })
	if _, told := w.told[app]; told || now.Sub(since) > wordlessWithin {
		return
	}
	w.told[app] = now
	w.log.Warn().Str("app", app).Str("client", client).Str("remedy", "if it goes on, the provider may not trust the "+
		"gateway's certificate: give it the certificate of the authority that signed it, and see that it names "+
		"the host that the provider connects to").
		Msg("a provider has ended its connection at once, and sent nothing")
}
