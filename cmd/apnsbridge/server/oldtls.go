package server

import (
	"crypto/tls"
	"maps"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/gateway"
)

// admitOldTLS does what the settings for old TLS need besides the ports' configuration:
// SHA-1 signatures in TLS 1.2, which Go can admit only for the whole process.
func admitOldTLS(c config.TLS, log zerolog.Logger) {
	sha1 := "tlssha1=0"
	if c.LegacyCiphers {
		sha1 = "tlssha1=1"
	}
	if now := os.Getenv("GODEBUG"); !strings.HasSuffix(now, sha1) { // the last setting counts
		os.Setenv("GODEBUG", strings.TrimPrefix(now+","+sha1, ","))
	}
	if c.MinVersion == "1.0" {
		log.Warn().Msg("tls.min_version is 1.0: over TLS 1.0 with a CBC cipher an error packet would leave in two records, which no library reads: such a connection gets none, as with on_bad_token: continue, and bad tokens go to the feedback list; providers that can are better off with 1.1 or 1.2")
	}
}

// oldTLS counts the connections that are admitted only because of the settings for old
// TLS, so that an operator sees when those can be turned off again.
type oldTLS struct {
	log zerolog.Logger

	mu   sync.Mutex
	uses map[use]uint64
}

// use is a way of using old TLS: by which app, how, and with which library. The zero value
// means none.
type use = metrics.OldTLS

// maxUses bounds how many ways are counted separately. Beyond that the library is counted
// as "other", so that there are only as many as apps, versions and ciphers.
const maxUses = 1_000

func newOldTLS(log zerolog.Logger) *oldTLS {
	return &oldTLS{log: log, uses: make(map[use]uint64)}
}

func oldUse(app string, h *gateway.Hello) use {
	if !h.Legacy() {
		return use{}
	}
	return use{App: app, Version: tls.VersionName(h.Version), Cipher: tls.CipherSuiteName(h.Cipher), Client: h.JA3()}
}

func (o *oldTLS) count(u use, from netip.AddrPort) {
	if u == (use{}) {
		return
	}
	o.mu.Lock()
	if _, known := o.uses[u]; !known && len(o.uses) >= maxUses {
		u.Client = "other"
	}
	o.uses[u]++
	first := o.uses[u] == 1
	o.mu.Unlock()
	if first {
		o.log.Info().Str("app", u.App).Stringer("address", from).Str("tls", u.Version).Str("cipher", u.Cipher).Str("ja3",
			u.Client).Msg("old TLS is used: this line comes once for each kind, the metric counts all")
	}
}

// figures returns the number of connections since the start, by how they use old TLS.
func (o *oldTLS) figures() map[use]uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.uses)
}
