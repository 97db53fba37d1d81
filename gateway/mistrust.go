package gateway

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"apnsbridge/gateway/identity"
)

// lastBytes are the last bytes that a client has sent in its handshake, as many as a
// record with an unencrypted alert has.
type lastBytes [7]byte

// add takes bytes that have come.
func (l *lastBytes) add(b []byte) {
	if keep := len(l) - len(b); keep > 0 {
		copy(l[:], l[len(b):])
		copy(l[keep:], b)
		return
	}
	copy(l[:], b[len(b)-len(l):])
}

// alert gives the alert that the bytes are (RFC 5246, section 7.2), if they are one. In
// TLS 1.3 OpenSSL sends its alert about a server's certificate unencrypted, since it has
// no keys to write with yet (RFC 8446, appendix D.4). crypto/tls expects it to be
// encrypted, and reports a bad record.
func (l *lastBytes) alert() (tls.AlertError, bool) {
	if !bytes.Equal(l[:2], []byte{21, 3}) || !bytes.Equal(l[3:5], []byte{0, 2}) {
		return 0, false
	}
	return tls.AlertError(l[6]), true
}

// The alerts with which clients refuse a certificate (RFC 8446, section 6.2).
// Erlang's library sends a handshake failure for a wrong host name.
const (
	handshakeFailure       tls.AlertError = 40
	badCertificate         tls.AlertError = 42
	unsupportedCertificate tls.AlertError = 43
	certificateRevoked     tls.AlertError = 44
	certificateExpired     tls.AlertError = 45
	certificateUnknown     tls.AlertError = 46
	unknownCA              tls.AlertError = 48
	accessDenied           tls.AlertError = 49
)

var refusals = []tls.AlertError{handshakeFailure, badCertificate, unsupportedCertificate, certificateRevoked,
	certificateExpired, certificateUnknown, unknownCA, accessDenied}

// refusalOf gives the alert with which a client has refused our certificate, if it has.
func refusalOf(err error, last *lastBytes) (tls.AlertError, bool) {
	sent, clear := last.alert()
	var op *net.OpError
	remote := errors.As(err, &op) && op.Op == "remote error"
	for _, refusal := range refusals {
		// The type that crypto/tls uses for alerts is not exported, but its words are the same.
		if remote && op.Err.Error() == refusal.Error() || !remote && clear && sent == refusal {
			return refusal, true
		}
	}
	return 0, false
}

// mistrust is why a client has ended its handshake after it had seen our certificate, and
// what the operator can do about it.
type mistrust struct{ reason, remedy string }

const (
	giveAuthority = "give the provider the certificate of the authority that signed it, as `apnsbridge certs init` " +
		"prints it for each kind of provider"
	makeServer = "make another with `apnsbridge certs server --host NAME`, for every name that providers connect to"
)

// refusedBecause says what the alert of a client means that asked for name and was shown
// the certificate shown.
func refusedBecause(alert tls.AlertError, shown *x509.Certificate, name string, now time.Time) mistrust {
	const refuses = "the provider does not trust the gateway's certificate: "
	switch {
	case alert == certificateExpired || now.After(shown.NotAfter):
		if now.Before(shown.NotAfter) {
			return mistrust{refuses + "it takes it, or its authority, for expired",
				"see whether the provider's clock is right, and whether the authority it knows has expired"}
		}
		return mistrust{refuses + "it has expired on " + shown.NotAfter.UTC().Format(time.DateOnly),
			"renew it with `apnsbridge certs renew`"}
	case now.Before(shown.NotBefore):
		return mistrust{refuses + "it is good only from " + shown.NotBefore.UTC().Format(time.DateTime),
			"set the clock of this machine, or wait"}
	case alert == unsupportedCertificate:
		return mistrust{refuses + fmt.Sprintf("it does not know its kind of key, %v", shown.PublicKeyAlgorithm),
			"show it an RSA certificate with SHA-256, as `apnsbridge certs server` makes one"}
	case alert == certificateRevoked:
		return mistrust{refuses + "it takes it for revoked", makeServer}
	case name != "" && shown.VerifyHostname(name) != nil:
		return mistrust{refuses + fmt.Sprintf("it asked for %q, which the certificate does not name",
			identity.Clip(name)), makeServer}
	}
	unknown := fmt.Sprintf("it does not know who signed it, %q", identity.Clip(shown.Issuer.CommonName))
	if alert == unknownCA {
		return mistrust{refuses + unknown, giveAuthority}
	}
	return mistrust{refuses + unknown + ", or connects to a name that the certificate lacks",
		giveAuthority + "; if it has that, " + makeServer}
}

// mistrusted reports whether the client has, as far as can be known, ended its handshake
// because of our certificate. If so it logs that.
func (a *arrival) mistrusted(err error) bool {
	if a.shown == nil {
		return false
	}
	if alert, ok := refusalOf(err, &a.last); ok {
		a.front.counters.mistrusted.Add(1)
		why := refusedBecause(alert, a.shown, a.hello.ServerName, time.Now())
		a.log(a.front.seldom.Warn()).Str("alert", strings.TrimPrefix(alert.Error(), "tls: ")).Str("reason", why.reason).
			Str("remedy", why.remedy).Msg("handshake failed")
		a.front.failed(&a.hello, why.reason, why.remedy)
		return true
	}
	_, clear := a.last.alert()
	if (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) && (clear || !a.wire.replied) {
		why := mistrust{"the client ended the connection when it had seen the gateway's certificate, and did not say why",
			"if it is a provider, it may not trust the certificate: " + giveAuthority}
		e := a.front.seldom.Info() // something that looks at certificates, perhaps
		if strings.HasSuffix(a.hello.ServerName, ".push.apple.com") {
			e = a.front.seldom.Warn() // a redirected provider; Node's goes so
			a.front.failed(&a.hello, why.reason, why.remedy)
		}
		a.log(e).Str("reason", why.reason).Str("remedy", why.remedy).Msg("handshake failed")
		return true
	}
	return false
}

// showing wraps certificate to note which certificate each client is shown.
func showing(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error),
) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := certificate(hello)
		if err == nil && c != nil {
			hello.Conn.(*wire).arrival.shown = c.Leaf
		}
		return c, err
	}
}
