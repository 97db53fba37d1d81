package endtoend

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// headway lets providers get only so far ahead of APNs' answers.
type headway struct {
	w       *world
	stopped atomic.Bool

	mu       sync.Mutex
	taken    int
	begun    int // how many were taken when the present process began
	answered int // how many were answered, or left by an earlier process and will be
}

func (p *headway) begin(left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun, p.answered = p.taken, p.w.Sim.Stats().Received+left
}

func (p *headway) more(int) bool {
	const ahead = 4000
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !p.stopped.Load() {
		p.mu.Lock()
		ok := p.taken-p.begun < p.w.Sim.Stats().Received-p.answered+ahead
		if ok {
			p.taken++
		}
		p.mu.Unlock()
		if ok {
			return true
		}
		<-tick.C
	}
	return false
}

// momentOf waits for a moment at which the present process is to be killed: in half of all
// cases soon after a provider has heard of a bad token.
func (k *killed) momentOf(all []*resender) {
	if len(k.ends) > 0 && k.r.IntN(2) == 0 {
		k.moment()
		return
	}
	heard := func() (n int) {
		for _, r := range all {
			r.mu.Lock()
			n += len(r.packets)
			r.mu.Unlock()
		}
		return n
	}
	before := heard()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Second); heard() == before && time.Now().Before(deadline); {
		<-tick.C
	}
	<-time.After(between(k.r, 0, 50*time.Millisecond))
}

// The same with providers that are told of bad tokens and send again what stands behind
// them, if need be to the next process: nothing arrives twice because of that.
func TestKilledBetweenResends(t *testing.T) {
	t.Parallel()
	const providers = 4
	rounds := 2
	if *long {
		rounds = 20
	}
	k := newKilled(t, spoolAll)
	pace := &headway{w: k.world}
	var sending sync.WaitGroup
	var resenders []*resender
	for i := range providers {
		resenders = append(resenders, &resender{base: i * ofProvider})
	}
	left := 0 // from the process before
	var kills []time.Time
	for round := range rounds {
		p := startProcess(t, k.world)
		pace.begin(left)
		if round == 0 {
			for _, r := range resenders {
				sending.Go(func() {
					if err := r.send(t.Context(), k.world, pace.more); err != nil {
						t.Errorf("a provider: %v", err)
					}
				})
			}
			servertest.WaitFor(t, "all providers write", func() bool { return allWrite(resenders) })
		}
		k.momentOf(resenders)
		kills = append(kills, time.Now())
		p.kill()
		k.ends = append(k.ends, k.ended(t, p))
		left = len(k.ends[round].committed)
	}
	p := startProcess(t, k.world)
	pace.stopped.Store(true)
	sending.Wait()
	k.deliver(t)
	listed := k.listed(t)
	k.drain(t, p)
	k.checkResenders(t, resenders, listed, kills)
}

// checkResenders checks that everything that providers wrote has ended, once, apart from what
// a kill can cost.
func (k *killed) checkResenders(t *testing.T, resenders []*resender, listed map[string]bool, kills []time.Time) {
	t.Helper()
	arrivals, committed := k.arrivals(t), k.committed()
	var all books
	packets, resent := 0, 0
	for _, p := range resenders {
		all.count(t, p, arrivals, listed)
		p.checkTails(t, arrivals)
		packets += p.report.Packets
		resent += p.report.Resent
	}
	untold := 0
	for _, n := range all.lost {
		p, n, number := resenders[n/ofProvider], n%ofProvider, n
		switch {
		case len(kills) > 0 && p.isUnsure(n) && !committed[number]:
		case fateOf(n) == toRefuse && p.heardSoonBefore(kills, n):
			// It was refused after its tail had been recorded, and is
			// recognised as one that was not refused.
			untold++
		default:
			t.Errorf("number %d is lost; committed %t", number, committed[number])
		}
	}
	r := findRepeats(t, k.ends, arrivals)
	for _, twice := range r.twice {
		t.Errorf("%d notifications were delivered twice by one process", len(twice))
	}
	for _, n := range r.doubled {
		if !resenders[n/ofProvider].heardSoonBefore(kills, n%ofProvider) {
			t.Errorf("number %d was sent again, and not recognised: %+v", n, arrivals[n])
		}
	}
	checkOrder(t, k.world)
	t.Logf("%d packets, %d sent again; %d accepted, %d named, %d listed, %d lost with a kill",
		packets, resent, all.accepted, all.named, all.listed, len(all.lost)-untold)
	t.Logf("%d were accepted again of %d that stood in the spool; behind packets of the last moment %d were doubled, and %d bad tokens not told", r.again, r.bound, len(r.doubled), untold)
	if *long && (packets == 0 || resent == 0) { // a short run may see none: no provider is told while the spool waits
		t.Error("nobody was told of a bad token")
	}
}
