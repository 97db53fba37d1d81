package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/netip"
)

// Hello is what is known of a client when Admit decides about it. It is
// borrowed until Admit returns, but not what it points to; Client alone is to be
// written.
type Hello struct {
	// Chain is what the client sent, its own certificate first, none if it sent
	// none. Nobody has verified it; that the client has the key is proven only
	// when the function that Admit returned is called.
	Chain []*x509.Certificate

	Remote     netip.AddrPort // as the PROXY header has it, where there is one
	Label      string         // of the Endpoint
	ServerName string         // SNI, "" for most old libraries
	Version    uint16         // tls.VersionTLS12
	Cipher     uint16         // tls.TLS_RSA_WITH_AES_128_CBC_SHA
	Terminated bool           // plain TCP from a program at one of Port.Terminated: Remote and Label are all there is
	Resumed    bool           // by a TLS 1.2 ticket: Chain is that of the first connection

	// Client is for Admit to set: who this is, by a name that is the same whenever
	// it comes. Its connections are counted by that name; those of "" are not.
	Client string

	// What the client offered, by which libraries can be told apart.
	OfferedVersions   []uint16
	OfferedCiphers    []uint16
	OfferedExtensions []uint16 // in their order
	OfferedCurves     []tls.CurveID
	OfferedPoints     []uint8
}

// Legacy says whether the connection is one that no port takes by default: TLS
// 1.0 or 1.1, or a cipher of Port.LegacyCiphers.
func (h *Hello) Legacy() bool {
	return !h.Terminated && (h.Version < tls.VersionTLS12 || isLegacyCipher(h.Cipher))
}

var errHelloTooLong = errors.New("gateway: the ClientHello is longer than unparsed_bytes")

// readHello reads from r until the client's first message is complete, or until
// it is clear that crypto/tls will not like it, and returns what it has read.
// Whoever stays silent costs no place among the running handshakes.
func readHello(r io.Reader, limit int) ([]byte, error) {
	buf := make([]byte, 0, 512)
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= limit {
				return nil, errHelloTooLong
			}
			buf = append(make([]byte, 0, min(2*cap(buf), limit)), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if helloComplete(buf) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// helloComplete says whether b holds a whole handshake message, which may come
// in several records (RFC 5246, section 6.2.1), or something else altogether.
func helloComplete(b []byte) bool {
	const (
		recordHead  = 5
		messageHead = 4
		handshake   = 22
	)
	var head [messageHead]byte
	for have := 0; ; {
		if len(b) == 0 {
			return false
		}
		if b[0] != handshake {
			return true
		}
		if len(b) < recordHead {
			return false
		}
		size := int(b[3])<<8 | int(b[4])
		if size == 0 || size > maxPlaintext {
			return true
		}
		data := b[recordHead:min(recordHead+size, len(b))]
		if have < messageHead {
			copy(head[have:], data)
		}
		have += len(data)
		if have >= messageHead && have >= messageHead+(int(head[1])<<16|int(head[2])<<8|int(head[3])) {
			return true
		}
		if len(b) < recordHead+size {
			return false
		}
		b = b[recordHead+size:]
	}
}
