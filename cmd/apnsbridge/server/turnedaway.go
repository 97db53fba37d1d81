package server

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"apnsbridge/cmd/apnsbridge/page"
	"apnsbridge/gateway"
	"apnsbridge/gateway/identity"
)

// doorBook remembers clients that were refused lately, for an operator who wonders why a
// provider does not get through. It is bounded, because strangers can fill it.
type doorBook struct {
	now func() time.Time
	mu  sync.Mutex
	all []page.Refused // latest last
}

// refusedMost is how many clients are remembered.
const refusedMost = 50

// note adds a client that was refused. One that comes again is not listed twice.
func (d *doorBook) note(h *gateway.Hello, why error) {
	d.add(h, page.Refused{Reason: why.Error(), Line: admittingLine(h)})
}

// failed adds a client whose handshake failed, and what can be done about it.
func (d *doorBook) failed(h *gateway.Hello, reason, remedy string) {
	d.add(h, page.Refused{Reason: reason, Remedy: remedy})
}

func (d *doorBook) add(h *gateway.Hello, r page.Refused) {
	r.Address, r.Times = h.Remote.Addr().String(), 1
	r.Reason, r.Remedy = identity.ClipTo(r.Reason, 300), identity.ClipTo(r.Remedy, 300)
	if len(h.Chain) > 0 {
		r.Subject = identity.Subject(h.Chain[0])
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r.Last = d.now()
	if i := slices.IndexFunc(d.all, func(o page.Refused) bool {
		return o.Line == r.Line && o.Address == r.Address && o.Reason == r.Reason
	}); i >= 0 {
		r.Times += d.all[i].Times
		d.all = slices.Delete(d.all, i, i+1)
	}
	if len(d.all) == refusedMost {
		d.all = slices.Delete(d.all, 0, 1)
	}
	d.all = append(d.all, r)
}

// list returns the clients, latest first.
func (d *doorBook) list() []page.Refused {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := slices.Clone(d.all)
	slices.Reverse(all)
	return all
}

// admittingLine is the line of an app's clients that would admit this one: by its certificate
// or, if it has none, by its address.
func admittingLine(h *gateway.Hello) string {
	if len(h.Chain) > 0 {
		return fmt.Sprintf("- {sha256: %q}", fmt.Sprintf("%x", sha256.Sum256(h.Chain[0].Raw)))
	}
	bits := 32
	if h.Remote.Addr().Unmap().Is6() {
		bits = 128
	}
	return fmt.Sprintf("- {cidr: %s/%d}", h.Remote.Addr().Unmap(), bits)
}
