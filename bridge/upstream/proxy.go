package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// proxyAnswerBytes bounds what a proxy may say before the tunnel begins. How long
// it may take is bounded by the context: Limits.DialTimeout, of a whole connection.
const proxyAnswerBytes = 16 << 10

// proxyError is what keeps a proxy from being a way. It names the proxy without
// the user and the password of its URL.
type proxyError struct {
	address string
	err     error
}

// Error names the proxy.
func (e *proxyError) Error() string { return fmt.Sprintf("proxy %s: %v", e.address, e.err) }

// Unwrap gives the error behind it.
func (e *proxyError) Unwrap() error { return e.err }

// proxyTLS is how a proxy that is spoken to over TLS has to prove itself: to the
// system's authorities, under its name in the URL.
func proxyTLS(proxy *url.URL) *tls.Config {
	if proxy == nil || proxy.Scheme != "https" {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: proxy.Hostname(), NextProtos: []string{"http/1.1"}}
}

// dialProxy opens a connection to address through the proxy.
func (t *target) dialProxy(ctx context.Context, network, address string) (net.Conn, error) {
	port := "80"
	if t.proxyTLS != nil {
		port = "443"
	}
	proxy := hostPort(t.proxy, port)
	conn, err := new(net.Dialer).DialContext(ctx, network, proxy)
	if err != nil {
		return nil, &proxyError{proxy, err}
	}
	raw := conn
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	if t.proxyTLS != nil {
		secured := tls.Client(raw, t.proxyTLS)
		err = secured.HandshakeContext(ctx)
		conn = secured
	}
	if err == nil {
		err = tunnel(conn, address, t.proxy.User)
	}
	if !stop() && ctx.Err() != nil { // what it said is the consequence
		err = ctx.Err()
	}
	if err != nil {
		raw.Close()
		return nil, &proxyError{proxy, err}
	}
	return conn, nil
}

// tunnel asks the proxy at the other end of conn for a connection to address.
func tunnel(conn io.ReadWriter, address string, user *url.Userinfo) error {
	req := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: make(http.Header),
	}
	if user != nil {
		password, _ := user.Password()
		basic := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		req.Header.Set("Proxy-Authorization", "Basic "+basic)
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	return readTunnel(conn, req)
}

// readTunnel reads the proxy's answer to req: nil if the tunnel begins behind it.
// Its words are clipped in the error.
func readTunnel(from io.Reader, req *http.Request) error {
	limited := &io.LimitedReader{R: from, N: proxyAnswerBytes}
	in := bufio.NewReader(limited)
	const alert = 21 // RFC 8446, 5.1: how TLS answers what is none
	if first, err := in.Peek(1); err == nil && first[0] == alert {
		return errProxySpeaksTLS
	}
	res, err := http.ReadResponse(in, req)
	switch {
	case err != nil && limited.N == 0:
		return fmt.Errorf("answers CONNECT %s with more than %d bytes", req.Host, proxyAnswerBytes)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("ends the connection without an answer to CONNECT %s", req.Host)
	case err != nil && isNetwork(err):
		return err
	case err != nil:
		return fmt.Errorf("answers CONNECT %s with what is no HTTP: %s", req.Host, clip(echoless(err.Error(), req)))
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("answers CONNECT %s with %s", req.Host, clip(echoless(res.Status, req)))
	// TLS begins with the client: whatever is here already is not APNs.
	case in.Buffered() > 0:
		return errors.New("sends data before it is asked")
	}
	return nil
}

// echoless is what a proxy says without the password that it may repeat.
func echoless(words string, req *http.Request) string {
	_, basic, _ := strings.Cut(req.Header.Get("Proxy-Authorization"), " ")
	if basic == "" {
		return words
	}
	words = strings.ReplaceAll(words, basic, "xxx")
	pair, _ := base64.StdEncoding.DecodeString(basic)
	if _, password, _ := strings.Cut(string(pair), ":"); password != "" {
		words = strings.ReplaceAll(words, password, "xxx")
	}
	return words
}

var errProxySpeaksTLS = errors.New("speaks TLS, and was spoken to without")

// isNetwork reports whether err is the network's and has no words of the other side.
func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// advice is what the operator can do about e.
func (e *proxyError) advice() string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var lookup *net.DNSError
	switch {
	case errors.As(e.err, &unknown):
		return "make the authority that has signed the proxy's certificate one of this machine's"
	case errors.As(e.err, &name):
		return "write the proxy's name as its certificate has it"
	case errors.As(e.err, &record):
		return "the proxy does not speak TLS: write its address with http:// and its port"
	case errors.Is(e.err, errProxySpeaksTLS):
		return "write the proxy's address with https://"
	case errors.As(e.err, &lookup):
		return "see to this machine's DNS, or correct the proxy's name"
	case strings.Contains(e.err.Error(), " with 407 "):
		return "the proxy wants a user and a password: write them into its address, as http://USER:PASSWORD@HOST:PORT"
	}
	return "see that the proxy runs at that address, and lets this machine out to APNs on ports 443 and 2197"
}
