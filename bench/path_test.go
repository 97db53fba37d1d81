package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/bridge"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/provider"
	"apnsbridge/store/boltstore"
)

const topic = "com.example.bench"

var pki = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create(topic)
	if err != nil {
		panic(err)
	}
	return p
})

// path is everything between a provider's socket and APNs, in this process.
type path struct {
	sim    *apnssim.Simulator
	store  *boltstore.Store
	bridge *bridge.Bridge
	server *gateway.Server
	served chan error
}

func newPath(b *testing.B) *path {
	b.Helper()
	p := &path{served: make(chan error, 1)}
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	certificate, err := pki().Server.TLS()
	must(err)
	p.sim, err = apnssim.Start(apnssim.Config{Certificate: certificate, Keep: -1, Remember: 1})
	must(err)
	b.Cleanup(func() { p.sim.Close() })
	p.store, err = boltstore.Open(b.TempDir(), boltstore.Options{})
	must(err)
	b.Cleanup(func() { p.store.Close() })
	credential, err := bridge.NewTokenCredential(pki().TokenKey, "ABC123DEFG", "DEF123GHIJ")
	must(err)
	p.bridge, err = bridge.New(bridge.Config{
		Apps:     []bridge.App{{Name: "bench", Topic: topic, Endpoint: p.sim.URL(), EndpointCA: pki().Pool(), Credential: credential}},
		Feedback: p.store.Feedback(), Ledger: p.store.Ledger(), Log: zerolog.Nop(),
	})
	must(err)
	b.Cleanup(p.bridge.Close)
	p.server, err = gateway.NewServer(gateway.Config{
		Port: gateway.Port{
			Endpoints:   []gateway.Endpoint{{Address: "127.0.0.1:0"}},
			Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
			Logger:      zerolog.Nop(),
		},
		Admit: func(*gateway.Hello) (gateway.Opener, error) {
			return func(c *gateway.Conn) (gateway.Session, binproto.Parser) {
				session, err := p.bridge.Open(c, bridge.Origin{App: "bench", Client: "bench", Address: netip.MustParseAddr("127.0.0.1")})
				if err != nil {
					panic(err)
				}
				return session, binproto.DefaultParser()
			}, nil
		},
	})
	must(err)
	go func() { p.served <- p.server.Serve() }()
	b.Cleanup(func() {
		p.server.Close()
		<-p.served
	})
	return p
}

// The whole path of a notification: a provider's TLS socket, gateway, bridge,
// HTTP/2, and the simulator's answer. Provider, gateway and APNs share the
// machine, so the figure is the price of all three.
func BenchmarkPath(b *testing.B) {
	for _, connections := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			p := newPath(b)
			conns := make([]*provider.Conn, connections)
			for i := range conns {
				var err error
				conns[i], err = provider.Dial(context.Background(), p.server.Addr().String(), &tls.Config{RootCAs: pki().Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12})
				if err != nil {
					b.Fatal(err)
				}
				defer conns[i].Close()
			}
			b.ReportAllocs()
			b.ResetTimer()
			start := time.Now()
			var writers sync.WaitGroup
			for i, c := range conns {
				share := b.N / connections
				if i < b.N%connections {
					share++
				}
				writers.Go(func() {
					if err := writeFrames(c, uint32(i)<<24, share); err != nil {
						b.Error(err)
					}
				})
			}
			writers.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := p.sim.Wait(ctx, func(s apnssim.Stats) bool { return s.Accepted >= b.N }); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "notifications/s")
		})
	}
}

// writeFrames writes count enhanced frames of 250 bytes, many a write, each to
// a device of its own.
func writeFrames(w io.Writer, first uint32, count int) error {
	const batch = 64
	n := binproto.Notification{Command: binproto.Enhanced, Token: make([]byte, 32), Expiry: uint32(time.Now().Add(time.Hour).Unix())}
	n.Payload = fmt.Appendf(nil, `{"aps":{"alert":"%s"}}`, bytes.Repeat([]byte{'x'}, 183))
	buf := make([]byte, 0, batch*256)
	for i := range count {
		n.Identifier = first + uint32(i)
		binary.BigEndian.PutUint32(n.Token, n.Identifier)
		buf = n.Append(buf)
		if len(buf) > cap(buf)-256 || i == count-1 {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return nil
}
