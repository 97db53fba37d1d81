package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

// mostVerdicts is how many chains an authority remembers, 64 bytes each.
const mostVerdicts = 8192

// verdicts remembers which chains an authority has found good, so that a client
// that connects for each message is not verified each time. Only a Matcher's own
// verdicts are in it, and a reload makes a new Matcher. A chain that was refused
// is judged anew: strangers fill nothing.
type verdicts struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]period
}

// period is when all certificates of a chain are valid.
type period struct{ from, until time.Time }

func newVerdicts() *verdicts {
	return &verdicts{young: make(map[[sha256.Size]byte]period), old: make(map[[sha256.Size]byte]period)}
}

// digest is of every certificate that was sent: an intermediate that is missing
// may be what a verdict hangs on.
func digest(chain []*x509.Certificate) (d [sha256.Size]byte) {
	h := sha256.New()
	for _, c := range chain {
		h.Write(c.Raw)
	}
	h.Sum(d[:0])
	return d
}

// good reports whether the chain was found good, and is so at the given time.
func (v *verdicts) good(chain [sha256.Size]byte, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, ok := v.young[chain]
	if !ok {
		p, ok = v.old[chain]
	}
	return ok && !now.Before(p.from) && !now.After(p.until)
}

// remember notes that the chain is good while every certificate that was found
// for it is valid.
func (v *verdicts) remember(chain [sha256.Size]byte, verified []*x509.Certificate) {
	p := period{verified[0].NotBefore, verified[0].NotAfter}
	for _, c := range verified[1:] {
		if c.NotBefore.After(p.from) {
			p.from = c.NotBefore
		}
		if c.NotAfter.Before(p.until) {
			p.until = c.NotAfter
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.young) >= mostVerdicts/2 {
		v.young, v.old = v.old, v.young
		clear(v.young)
	}
	v.young[chain] = p
}
