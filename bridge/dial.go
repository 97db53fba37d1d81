package bridge

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"

	"apnsbridge/bridge/h2conn"
)

// target is where an endpoint is dialled, and how it has to prove itself.
type target struct {
	address   string // host:port
	authority string // as in the URL
	proxy     *url.URL
	tls       *tls.Config
}

func newTarget(conf App, env Environment) target {
	t := target{proxy: conf.Proxy, tls: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: conf.EndpointCA}}
	if cert := conf.Credential.certificate; cert != nil {
		t.tls.Certificates = []tls.Certificate{*cert}
	}
	// The app was checked: its endpoint is a good URL.
	if u, err := url.Parse(conf.endpoint(env)); err == nil {
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

// dial opens a connection, of which SETTINGS are not known yet. Names are looked
// up each time.
func (t *target) dial(ctx context.Context, cfg h2conn.Config) (*h2conn.Conn, error) {
	cfg.TLS = t.tls
	if t.proxy != nil {
		cfg.DialContext = t.dialProxy
	}
	conn, err := h2conn.Dial(ctx, t.address, cfg)
	// crypto/tls gives the alert of RFC 7301, 3.2, no type to be known by.
	if err != nil && strings.HasSuffix(err.Error(), "tls: no application protocol") {
		return nil, fmt.Errorf("%s does not speak HTTP/2: is it APNs?", t.address)
	}
	return conn, err
}
