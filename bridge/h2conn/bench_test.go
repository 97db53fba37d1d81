package h2conn

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// BenchmarkSubmit, BenchmarkRoundTripper and BenchmarkStockTransport use the same kind of server
// in this process, which does next to nothing for an answer, so that they measure the client.
// BenchmarkNginx uses a real server in another process.

func BenchmarkSubmit(b *testing.B) {
	address := serveAnswers(b)
	f := newFeeder(pushPrefix(b, "localhost"), b.N)
	b.ReportAllocs()
	b.ResetTimer()
	dial(b, address, f.config())
	f.wait(b)
	b.StopTimer()
	if f.fates[Answered] != b.N {
		b.Fatalf("fates %v of %d, errors %v", f.fates, b.N, f.errors)
	}
}

func BenchmarkRoundTripper(b *testing.B) {
	address := serveAnswers(b)
	benchmarkRoundTrips(b, dial(b, address, Config{}).RoundTripper(), address)
}

func BenchmarkStockTransport(b *testing.B) {
	address := serveAnswers(b)
	t := stock()
	defer t.CloseIdleConnections()
	benchmarkRoundTrips(b, t, address)
}

// serveAnswers runs answerAll over TLS until the test ends.
func serveAnswers(b *testing.B) (address string) {
	b.Helper()
	cert, _ := authority()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert},
		NextProtos: []string{"h2"}})
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	b.Cleanup(wg.Wait)
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			b.Cleanup(func() { nc.Close() }) // a stock transport may keep it
			wg.Go(func() { answerAll(nc) })
		}
	})
	b.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

func stock() transport {
	//lint:ignore SA1019 it is what apns2 uses
	return &http2.Transport{TLSClientConfig: clientTLS()}
}

func benchmarkRoundTrips(b *testing.B, rt http.RoundTripper, address string) {
	sample := newFeeder(nil, 0).request()
	prefix := pushPrefix(b, "localhost")
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				req, err := http.NewRequest("POST", "https://"+address+samplePath, bytes.NewReader(sample.Body))
				if err != nil {
					b.Error(err)
					return
				}
				for _, f := range prefix.regular {
					req.Header[http.CanonicalHeaderKey(f.Name)] = []string{f.Value}
				}
				for _, f := range sample.Fields {
					req.Header[http.CanonicalHeaderKey(f.Name)] = []string{string(f.Value)}
				}
				resp, err := rt.RoundTrip(req)
				if err != nil {
					b.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
}
