package gateway

import (
	"crypto/tls"
	"testing"
)

// TestDesks: a desk serves one handshake at a time, and another when that is over.
func TestDesks(t *testing.T) {
	base := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil },
	}
	for _, tickets := range []bool{false, true} {
		s := &desks{base: base, tickets: tickets}
		var a, b, c arrival
		first, second := s.take(&a), s.take(&b)
		if first == second || first.config == second.config {
			t.Fatal("two handshakes at a desk")
		}
		for d, want := range map[*desk]*arrival{first: &a, second: &b} {
			if d.arrival != want {
				t.Error("a desk does not know whose it is")
			}
			if got := d.config; got.SessionTicketsDisabled == tickets || got.GetConfigForClient != nil ||
				got.MinVersion != tls.VersionTLS12 {
				t.Errorf("tickets %v: got %+v", tickets, got)
			}
		}
		first.leave()
		if again := s.take(&c); again != first || again.arrival != &c {
			t.Error("a free desk is not used again")
		}
		if second.arrival != &b {
			t.Error("a desk was taken away")
		}
	}
}
