package server

import (
	"crypto/tls"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/cmd/apnsbridge/page"
	"apnsbridge/cmd/apnsbridge/report"
	"apnsbridge/fleet/link"
	"apnsbridge/gateway"
	"apnsbridge/gateway/identity"
)

// providersFile keeps the report over a restart, beside the store's files.
const providersFile = "providers.json"

// whoIs describes a provider by what its hello shows.
func whoIs(app string, client identity.Client, h *gateway.Hello) report.Who {
	who := report.Who{App: app, Client: client.Short(), Address: h.Remote.Addr().String()}
	if who.TLS = tlsOf(h); who.TLS != "" {
		who.Cipher, who.JA3 = tls.CipherSuiteName(h.Cipher), h.JA3()
		who.Stack = report.StackOf(h.OfferedCiphers, h.OfferedExtensions, h.OfferedPoints)
	}
	if len(h.Chain) > 0 {
		who.Expires = h.Chain[0].NotAfter
	}
	return who
}

// tlsOf returns the TLS version of a connection; empty: TLS is terminated in front of the gateway.
func tlsOf(h *gateway.Hello) string {
	if h.Terminated {
		return ""
	}
	return tls.VersionName(h.Version)
}

// witness is a provider's connection as its session sees it. It counts the packets that the
// provider is sent, and the verdicts on its notifications.
type witness struct {
	*gateway.Conn
	seen *report.Conn
}

// Fail counts and passes on to the connection.
func (w witness) Fail(status binproto.Status, identifier uint32, within time.Duration) {
	w.seen.Told()
	w.Conn.Fail(status, identifier, within)
}

// Judged implements bridge.Witness.
func (w witness) Judged() { w.seen.Judged() }

// BadToken implements bridge.Witness.
func (w witness) BadToken() { w.seen.BadToken() }

// resends returns a function that tells, in the report's words, whether the providers of frames
// of some command and layout resend, as far as session has found out.
func resends(session link.Session) func(binproto.Command, binproto.Layout) report.Resends {
	return func(command binproto.Command, layout binproto.Layout) report.Resends {
		here, ok := session.(interface {
			Resending(binproto.Command, binproto.Layout) conversation.Resending
		})
		if !ok { // the session is on another node, which knows
			return report.Unsettled
		}
		switch here.Resending(command, layout) {
		case conversation.SendsAgain:
			return report.SendsAgain
		case conversation.NeverResends:
			return report.NeverResends
		}
		return report.Unsettled
	}
}

func (s *Service) providersPath() string {
	c := s.current.Load().config
	return filepath.Join(c.Path(c.Store.Path), providersFile)
}

// loadProviders reads the report from before the start. If the file cannot be used, the log says
// so and the report begins anew.
func (s *Service) loadProviders() {
	text, err := os.ReadFile(s.providersPath())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = s.providers.Load(text)
	}
	if err != nil {
		s.log.Warn().Err(err).Str("file", s.providersPath()).Msg("the report on providers begins anew")
	}
}

// saveProviders writes the report. The file is replaced atomically.
func (s *Service) saveProviders() {
	path := s.providersPath()
	text, err := s.providers.Marshal()
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		s.log.Warn().Err(err).Msg("the report on providers cannot be written")
	}
}

// minVersion is the lowest TLS version that is admitted.
func (s *Service) minVersion() string { return s.current.Load().config.TLS.MinVersion }

// serveProviders answers with the report as a page.
func (s *Service) serveProviders(w http.ResponseWriter, _ *http.Request) {
	page.WriteProviders(w, s.current.Load().now().UTC(), s.providers.Providers(), s.providers.Sentences(s.minVersion()))
}

// providersAnswer is the answer to GET /api/providers.json.
type providersAnswer struct {
	Sentences []string         `json:"sentences"`
	Providers []providerAnswer `json:"providers"`
}

type providerAnswer struct {
	report.Provider
	Library string   `json:"library"`
	Because []string `json:"library_because"` // what speaks for the guess, or against it
	Frames  string   `json:"frames"`          // what they look like
	ADay    int      `json:"notifications_a_day"`
	Ratio   float64  `json:"bad_token_ratio"`
}

func (s *Service) serveProvidersJSON(w http.ResponseWriter, _ *http.Request) {
	answer := providersAnswer{Sentences: s.providers.Sentences(s.minVersion()), Providers: []providerAnswer{}}
	for _, p := range s.providers.Providers() {
		guess := p.Guess()
		answer.Providers = append(answer.Providers, providerAnswer{p, guess.Library, guess.Because, p.Habits.String(),
			p.ADay(), p.BadTokenRatio()})
	}
	answerJSON(w, answer)
}

func (s *Service) serveProvidersCSV(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", "attachment; filename=providers.csv")
	out := csv.NewWriter(w)
	out.Write([]string{"app", "client", "address", "library", "frames", "tls", "cipher", "ja3", "certificate_expires",
		"first_seen",
		"last_seen", "notifications", "a_day", "connections", "packets", "verdicts", "bad_tokens", "bad_token_ratio",
		"resends", "feedback_last_read",
		"library_because"})
	for _, p := range s.providers.Providers() {
		guess := p.Guess()
		out.Write([]string{plain(p.App), plain(p.Client), p.Address, guess.Library, p.Habits.String(), p.TLS, p.Cipher, p.JA3,
			stamp(p.Expires),
			stamp(p.First), stamp(p.Last), fmt.Sprint(p.Habits.Frames), strconv.Itoa(p.ADay()), fmt.Sprint(p.Connections),
			fmt.Sprint(p.Packets), fmt.Sprint(p.Verdicts), fmt.Sprint(p.BadTokens), fmt.Sprintf("%.4f",
				p.BadTokenRatio()), string(p.Resends), stamp(p.Feedback),
			strings.Join(guess.Because, "; ")})
	}
	out.Flush() // an error means only that the client has gone
}

// plain quotes a name that a spreadsheet would take for a formula.
func plain(text string) string {
	if text != "" && (text[0] == '=' || text[0] == '+' || text[0] == '-' || text[0] == '@') {
		return "'" + text
	}
	return text
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
