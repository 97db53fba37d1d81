package main

import (
	"crypto/tls"
	"net/netip"
	"os"
	"runtime/metrics"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/gateway"
)

// admitOldTLS does what the settings for old TLS need besides the ports' own:
// signatures with SHA-1 in TLS 1.2, which Go admits for a whole process.
func admitOldTLS(c config.TLS, log zerolog.Logger) {
	sha1 := "tlssha1=0"
	if c.LegacyCiphers {
		sha1 = "tlssha1=1"
	}
	if now := os.Getenv("GODEBUG"); !strings.HasSuffix(now, sha1) { // the last word counts
		os.Setenv("GODEBUG", strings.TrimPrefix(now+","+sha1, ","))
	}
	if c.MinVersion == "1.0" {
		log.Warn().Msg("tls.min_version is 1.0: over TLS 1.0 with a CBC cipher an error packet would leave in two records, which no library reads: such a connection gets none, as with on_bad_token: continue, and bad tokens go to the feedback list; providers that can are better off with 1.1 or 1.2")
	}
}

// oldTLS counts the connections that were admitted only by the settings for old
// TLS, so that an operator sees when they can be taken back.
type oldTLS struct {
	log zerolog.Logger

	mu   sync.Mutex
	uses map[use]uint64
}

// use is a way of using old TLS: whose, how, and with which library (JA3). The
// zero value is no use.
type use struct {
	app, version, cipher, client string
}

// maxUses bounds how many ways are told apart. Those beyond are counted as
// "other" libraries, of which there are as many as apps, versions and ciphers.
const maxUses = 1_000

func newOldTLS(log zerolog.Logger) *oldTLS {
	return &oldTLS{log: log, uses: make(map[use]uint64)}
}

func oldUse(app string, h *gateway.Hello) use {
	if !h.Legacy() {
		return use{}
	}
	return use{app: app, version: tls.VersionName(h.Version), cipher: tls.CipherSuiteName(h.Cipher), client: h.JA3()}
}

func (o *oldTLS) count(u use, from netip.AddrPort) {
	if u == (use{}) {
		return
	}
	o.mu.Lock()
	if _, known := o.uses[u]; !known && len(o.uses) >= maxUses {
		u.client = "other"
	}
	o.uses[u]++
	first := o.uses[u] == 1
	o.mu.Unlock()
	if first {
		o.log.Info().Str("app", u.app).Stringer("address", from).Str("tls", u.version).Str("cipher", u.cipher).Str("ja3", u.client).Msg("old TLS is used: this line comes once for each kind, the metric counts all")
	}
}

var (
	oldUses = prometheus.NewDesc("apnsbridge_gateway_old_tls_connections_total",
		"Connections, on both ports, with TLS 1.0, 1.1, or a cipher of tls.legacy_ciphers.", []string{"app", "version", "cipher", "ja3"}, nil)
	sha1Signatures = prometheus.NewDesc("apnsbridge_gateway_sha1_signatures_total",
		"Handshakes of TLS 1.2 that were signed with SHA-1, in the whole process.", nil, nil)
)

// Describe names the metrics.
func (o *oldTLS) Describe(to chan<- *prometheus.Desc) {
	to <- oldUses
	to <- sha1Signatures
}

// Collect takes a snapshot.
func (o *oldTLS) Collect(to chan<- prometheus.Metric) {
	o.mu.Lock()
	for u, n := range o.uses {
		to <- prometheus.MustNewConstMetric(oldUses, prometheus.CounterValue, float64(n), u.app, u.version, u.cipher, u.client)
	}
	o.mu.Unlock()
	sample := []metrics.Sample{{Name: "/godebug/non-default-behavior/tlssha1:events"}}
	if metrics.Read(sample); sample[0].Value.Kind() == metrics.KindUint64 {
		to <- prometheus.MustNewConstMetric(sha1Signatures, prometheus.CounterValue, float64(sample[0].Value.Uint64()))
	}
}
