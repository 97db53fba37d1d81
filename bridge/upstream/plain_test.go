package upstream

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestPlain(t *testing.T) {
	for _, tt := range [][2]string{
		{"h2conn: dial 10.0.0.1:443: dial tcp 10.0.0.1:443: connect: connection refused", "10.0.0.1:443: connection refused"},
		{"cannot connect to a:1: dial tcp: lookup a on 10.0.0.53:53: no such host", "cannot connect to a:1: the name a has no address"},
		{"dial tcp: lookup a on 10.0.0.53:53: dial udp 10.0.0.53:53: connect: network is unreachable",
			"asking for the address of a: network is unreachable"},
		{"h2conn: TLS handshake with 10.0.0.1:443: read tcp 10.0.0.2:48510->10.0.0.1:443: read: connection reset by peer",
			"TLS handshake with 10.0.0.1:443: connection reset by peer"},
		{"tls: failed to verify certificate: x509: certificate signed by unknown authority", "certificate signed by unknown authority"},
		{"x509: certificate is valid for a, not b", "certificate is valid for a, not b"},
		{"remote error: tls: bad certificate", "the other side ends the handshake: bad certificate"},
		{"tls: first record does not look like a TLS handshake", "what answers does not speak TLS"},
		{"proxy 10.0.0.1:80: context deadline exceeded", "proxy 10.0.0.1:80: no answer in time"},
		{"dial tcp 10.0.0.1:80: i/o timeout", "no answer in time"},
		{"dial tcp: address localhost: missing port in address", "localhost has no port: write HOST:PORT"},
		{"listen tcp 127.0.0.1:2199: bind: address already in use", "address already in use"},
		{"unexpected EOF", "the connection ends"},
		{"answers CONNECT a:443 with 403 Forbidden", "answers CONNECT a:443 with 403 Forbidden"},
	} {
		if got := Plain(errors.New(tt[0])).Error(); got != tt[1] {
			t.Errorf("%q: got %q, want %q", tt[0], got, tt[1])
		}
	}
	if err := Plain(fmt.Errorf("x: %w", io.EOF)); !errors.Is(err, io.EOF) {
		t.Errorf("%v is not io.EOF any more", err)
	}
	if Plain(nil) != nil {
		t.Error("Plain(nil) is an error")
	}
}
