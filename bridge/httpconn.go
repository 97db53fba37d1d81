package bridge

//lint:file-ignore SA1019 net/http's ClientConn, which is to replace it, knows neither PING nor a graceful end.

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http2"
)

// target is where an endpoint is dialled, and how it has to prove itself.
func target(base string, conf App) (address string, config *tls.Config) {
	config = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, RootCAs: conf.EndpointCA}
	if cert := conf.Credential.certificate; cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	// The app was checked: base is a good URL.
	if u, err := url.Parse(base); err == nil {
		config.ServerName = u.Hostname()
		address = hostPort(u, "443")
	}
	return address, config
}

func hostPort(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// dial opens a connection and returns it once APNs' SETTINGS are known: before
// that, nobody knows how many streams it allows.
func (u *httpUpstream) dial() (*http2.ClientConn, error) {
	ctx, cancel := context.WithTimeout(u.ctx, u.limits.DialTimeout)
	defer cancel()
	raw, err := u.dialRaw(ctx)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, u.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		// crypto/tls gives the alert of RFC 7301, 3.2, no type to be known by.
		if strings.HasSuffix(err.Error(), "tls: no application protocol") {
			return nil, u.notHTTP2()
		}
		return nil, fmt.Errorf("TLS with %s: %w", u.address, err)
	}
	if conn.ConnectionState().NegotiatedProtocol != "h2" {
		conn.Close()
		return nil, u.notHTTP2()
	}
	c, err := u.transport.NewClientConn(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("HTTP/2 with %s: %w", u.address, err)
	}
	// A server's first frame is its SETTINGS, so the answer comes behind them.
	if err := c.Ping(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("HTTP/2 with %s: %w", u.address, err)
	}
	return c, nil
}

func (u *httpUpstream) notHTTP2() error {
	return fmt.Errorf("%s does not speak HTTP/2: is it APNs?", u.address)
}

// dialRaw opens the TCP connection, through the proxy if there is one.
func (u *httpUpstream) dialRaw(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	if u.proxy == nil {
		return dialer.DialContext(ctx, "tcp", u.address)
	}
	address := hostPort(u.proxy, "80")
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = u.tunnel(conn)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("proxy %s: %w", address, err)
	}
	return conn, nil
}

// tunnel asks the proxy at the other end of conn for a connection to APNs.
func (u *httpUpstream) tunnel(conn net.Conn) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: u.address}, Host: u.address, Header: make(http.Header)}
	if user := u.proxy.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answers CONNECT %s with %s", u.address, res.Status)
	}
	// TLS begins with the client: whatever is here already is not APNs.
	if in.Buffered() > 0 {
		return errors.New("sends data before it is asked")
	}
	return nil
}
