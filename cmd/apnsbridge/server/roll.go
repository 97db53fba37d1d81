package server

import (
	"crypto/sha256"
	"crypto/x509"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/gateway"
)

// roll is the list of all connections, with what each client has shown. A reload reviews it,
// so that clients that would no longer be admitted do not stay.
type roll struct {
	current  *atomic.Pointer[Assembly]
	log      zerolog.Logger
	wordless *wordless

	mu      sync.Mutex
	present map[identification]*party

	ended   atomic.Uint64
	unheard atomic.Uint64
}

// identification is what decides about a connection: those with the same one are judged alike.
type identification struct {
	push        bool // on the push port
	app         string
	certificate [sha256.Size]byte // zero: none
	address     netip.Addr
}

func newIdentification(push bool, app string, h *gateway.Hello) identification {
	id := identification{push: push, app: app, address: h.Remote.Addr()}
	if len(h.Chain) > 0 {
		id.certificate = sha256.Sum256(h.Chain[0].Raw)
	}
	return id
}

// party is the connections with the same identification.
type party struct {
	chain  []*x509.Certificate
	guests map[guest]struct{}
}

// guest is one connection. Its methods may be called from any goroutine.
type guest interface {
	end(within time.Duration) // ends it in good order
	silence()                 // when that is over: nothing that it still sends is taken, and it is cut
}

func newRoll(current *atomic.Pointer[Assembly], log zerolog.Logger) *roll {
	return &roll{current: current, log: log, wordless: newWordless(log, time.Now),
		present: make(map[identification]*party)}
}

// enter adds a guest that the assembly by has admitted. If another assembly is current by
// now, that judges the guest at once.
func (r *roll) enter(by *Assembly, id identification, chain []*x509.Certificate, g guest) {
	r.mu.Lock()
	p := r.present[id]
	if p == nil {
		p = &party{chain: chain, guests: make(map[guest]struct{})}
		r.present[id] = p
	}
	p.guests[g] = struct{}{}
	r.mu.Unlock()
	if current := r.current.Load(); current != by {
		if reason := current.admits(id, chain); reason != nil {
			r.turnOut(current, id.app, reason, g)
		}
	}
}

// leave removes a guest from the roll.
func (r *roll) leave(id identification, g guest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.present[id]; p != nil {
		if delete(p.guests, g); len(p.guests) == 0 {
			delete(r.present, id)
		}
	}
}

// review ends the connections of clients that the current assembly would not
// admit.
func (r *roll) review() {
	current := r.current.Load()
	r.mu.Lock()
	chains := make(map[identification][]*x509.Certificate, len(r.present))
	for id, p := range r.present {
		chains[id] = p.chain
	}
	r.mu.Unlock()
	for id, chain := range chains {
		reason := current.admits(id, chain) // not under the lock, because it verifies signatures
		if reason == nil {
			continue
		}
		var guests []guest
		r.mu.Lock()
		if p := r.present[id]; p != nil {
			guests = slices.Collect(maps.Keys(p.guests))
		}
		r.mu.Unlock()
		r.turnOut(current, id.app, reason, guests...)
	}
}

// turnOut ends connections that were admitted to app. A provider has as long as the
// gateway takes to drain to end its side.
func (r *roll) turnOut(current *Assembly, app string, reason error, guests ...guest) {
	if len(guests) == 0 {
		return
	}
	r.ended.Add(uint64(len(guests)))
	r.log.Info().Str("app", app).Int("connections", len(guests)).AnErr("reason",
		reason).Msg("a client is not admitted any more: its connections end")
	within := time.Duration(current.config.Limits.Drain)
	for _, g := range guests {
		g.end(within)
	}
	time.AfterFunc(within, func() {
		for _, g := range guests {
			g.silence()
		}
	})
}

// stats returns the counts of connections that reloads have ended.
func (r *roll) stats() metrics.Revoked {
	return metrics.Revoked{Connections: r.ended.Load(), Frames: r.unheard.Load()}
}
