package gateway

import (
	"crypto/tls"
	"sync"
)

// desks are the configurations of a port's handshakes. Each serves one at a time
// and knows which, for what crypto/tls says about a client it says to a function
// of the configuration. A tls.Conn keeps its configuration for as long as it is
// open: with one for each connection, an idle one would need half a KiB more.
type desks struct {
	base    *tls.Config
	tickets bool // are given

	mu   sync.Mutex
	free []*desk // as many as there were handshakes at a time
}

type desk struct {
	desks   *desks
	config  *tls.Config
	arrival *arrival // whose handshake it is, nil for none
}

// take gives a a desk until it leaves.
func (s *desks) take(a *arrival) *desk {
	s.mu.Lock()
	defer s.mu.Unlock()
	var d *desk
	if n := len(s.free); n > 0 {
		d, s.free = s.free[n-1], s.free[:n-1]
	} else {
		d = s.make()
	}
	d.arrival = a
	return d
}

func (s *desks) make() *desk {
	d := &desk{desks: s, config: s.base.Clone()}
	d.config.GetConfigForClient = nil
	d.config.SessionTicketsDisabled = !s.tickets
	// Unlike VerifyPeerCertificate it is called on resumption, too.
	d.config.VerifyConnection = func(state tls.ConnectionState) error { return d.arrival.verify(state) }
	return d
}

// leave frees the desk when the handshake is over: crypto/tls verifies nothing
// afterwards.
func (d *desk) leave() {
	d.desks.mu.Lock()
	defer d.desks.mu.Unlock()
	d.arrival = nil
	d.desks.free = append(d.desks.free, d)
}
