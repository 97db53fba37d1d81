package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"apnsbridge/bridge/h2conn"
)

// Endpoint is an APNs, or what stands in its place.
type Endpoint struct {
	URL   string         // https://host:port, without a path
	CA    *x509.CertPool // who vouches for it; nil: the system's
	Proxy *url.URL       // a proxy that knows CONNECT, spoken to in the clear or, with https, over TLS; nil: none
}

// target is where an endpoint is dialled, and how it has to prove itself.
type target struct {
	address   string // host:port
	authority string // as in the URL
	shown     *Credential
	unusable  error // there is nothing to show
	tls       *tls.Config
	proxy     *url.URL
	proxyTLS  *tls.Config // nil: the proxy is spoken to in the clear

	lookup    func(ctx context.Context, network, host string) ([]netip.Addr, error) // nil: the system's
	addresses addresses
}

func newTarget(e Endpoint, c *Credential) *target {
	t := &target{
		shown: c, unusable: c.unusable, proxy: e.Proxy, proxyTLS: proxyTLS(e.Proxy),
		tls: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: e.CA},
	}
	if cert := c.certificate; cert != nil {
		t.tls.Certificates = []tls.Certificate{*cert}
	}
	// The endpoint was checked: its URL is a good one.
	if u, err := url.Parse(e.URL); err == nil {
		t.tls.ServerName = u.Hostname()
		t.address, t.authority = hostPort(u, "443"), u.Host
	}
	return t
}

func hostPort(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// dial opens a connection, of which SETTINGS are not known yet.
func (t *target) dial(ctx context.Context, address string, cfg h2conn.Config) (*h2conn.Conn, error) {
	conn, err := h2conn.Dial(ctx, address, cfg)
	// crypto/tls gives the alert of RFC 7301, 3.2, no type to be known by.
	if err != nil && strings.HasSuffix(err.Error(), "tls: no application protocol") {
		return nil, fmt.Errorf("%s does not speak HTTP/2: is it APNs?", t.address)
	}
	return conn, err
}
