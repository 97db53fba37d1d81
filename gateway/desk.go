package gateway

import (
	"crypto/tls"
	"sync"
)

// desks are the tls.Configs of a port's handshakes. Each serves one handshake at a time
// and knows which, because crypto/tls reports on a client by calling a function of the
// configuration. A tls.Conn keeps its configuration for as long as it is open; one for
// each connection would cost every idle connection half a KiB.
type desks struct {
	base    *tls.Config
	tickets bool // clients are given session tickets

	mu   sync.Mutex
	free []*desk // with those in use, as many as there ever were handshakes at a time
}

type desk struct {
	desks   *desks
	config  *tls.Config
	arrival *arrival // whose handshake it serves; nil for none
}

// take gives the arrival a a desk, until desk.leave.
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

// leave frees the desk after the handshake: crypto/tls verifies nothing after that.
func (d *desk) leave() {
	d.desks.mu.Lock()
	defer d.desks.mu.Unlock()
	d.arrival = nil
	d.desks.free = append(d.desks.free, d)
}
