package gateway_test

import (
	"crypto"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"apnsbridge/gateway"
)

// countingSigner signs once it may, and notes for whom, in the order in which it was asked.
type countingSigner struct {
	crypto.Signer
	sign func()
}

func (s countingSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.sign()
	return s.Signer.Sign(rand, digest, opts)
}

// TestSignaturesTakeTurns: strangers from a few addresses say hello, as many at once as may. A provider's handshake,
// from an address of its own or from one of theirs, does not wait for all of theirs to be computed.
func TestSignaturesTakeTurns(t *testing.T) {
	t.Parallel()
	const strangers, each = 4, 12
	for name, provider := range map[string]string{"its own address": "127.0.0.9", "a stranger's address": "127.0.0.2"} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			asked, provided := 0, 0 // signatures; that of the provider among them
			may := make(chan struct{})
			server := certificates().server
			s := serve(t, nil, func(c *gateway.Config) {
				c.Endpoints[0].ProxyProtocol = loopback
				c.Admit = func(*gateway.Hello) (gateway.Opener, error) { return newSessions(t).open, nil }
				c.Certificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
					own := server
					own.PrivateKey = countingSigner{server.PrivateKey.(crypto.Signer), func() {
						mu.Lock()
						if asked++; h.ServerName == "provider" {
							provided = asked
						}
						mu.Unlock()
						<-may
					}}
					return &own, nil
				}
			})
			begin := func(from, server string) *tls.Conn {
				tcp := rawDial(t, s)
				write(t, tcp, proxyV1(netip.MustParseAddr(from).String()+":40000"))
				config := clientTLS(tls.VersionTLS12)
				config.ServerName, config.InsecureSkipVerify = server, true
				c := tls.Client(tcp, config)
				go c.Handshake()
				return c
			}
			waiting := func(n int) {
				t.Helper()
				eventually(t, "they wait", func() bool { return s.WaitToCompute() == n-runtime.GOMAXPROCS(0) })
			}
			for i := range strangers * each {
				begin(fmt.Sprintf("127.0.0.%d", 2+i%strangers), "stranger")
			}
			waiting(strangers * each)
			c := begin(provider, "provider")
			waiting(strangers*each + 1)
			close(may)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			// Some more than one of each source: threads overtake.
			if most := runtime.GOMAXPROCS(0) + strangers*each/2; provided > most {
				t.Errorf("the provider's signature was number %d of %d, want %d at most", provided, asked, most)
			}
		})
	}
}
