package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// headway lets providers be so far ahead of APNs' answers, and no further.
type headway struct {
	w       *world
	stopped atomic.Bool

	mu       sync.Mutex
	taken    int
	begun    int // so many were taken when the present process began
	answered int // so many were, and will be that an earlier process has left
}

func (p *headway) begin(left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun, p.answered = p.taken, p.w.sim.Stats().Received+left
}

func (p *headway) more(int) bool {
	const ahead = 4000
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !p.stopped.Load() {
		p.mu.Lock()
		ok := p.taken-p.begun < p.w.sim.Stats().Received-p.answered+ahead
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

// momentOf waits for a moment in which the present process is to be killed: half of
// them soon after a provider has heard of a bad token.
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
	for deadline := time.Now().Add(10 * time.Second); heard() == before && time.Now().Before(deadline); {
		<-tick.C
	}
	<-time.After(between(k.r, 0, 50*time.Millisecond))
}

// The same with providers that are told of bad tokens and send again what stands
// behind them, over the next process too if need be: that doubles nothing.
func TestKilledBetweenResends(t *testing.T) {
	const providers = 4
	rounds := 2
	if *long {
		rounds = 20
	}
	k := newKilled(t, "")
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
			waitFor(t, "all providers write", func() bool {
				return !slices.ContainsFunc(resenders, func(r *resender) bool { return r.written() == 0 })
			})
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
	arrivals, committed := k.arrivals(t), k.committed()
	var all books
	packets, resent := 0, 0
	for _, r := range resenders {
		b := r.check(t, arrivals, listed, committed)
		all.add(b)
		packets += r.report.Packets
		resent += r.report.Resent
	}
	r := findRepeats(t, k.ends, arrivals)
	checkOrder(t, k.world)
	for _, n := range r.doubled {
		if !resenders[n/ofProvider].heardSoonBefore(kills, n%ofProvider) {
			t.Errorf("number %d was sent again, and not recognised: %+v", n, arrivals[n])
		}
	}
	t.Logf("%d kills: %d packets, %d resent; %+v; %d were accepted again of %d that stood in the spool, and %d that were sent again behind a packet of the last moment",
		len(k.ends), packets, resent, all, r.again, r.bound, len(r.doubled))
	if packets == 0 || resent == 0 {
		t.Error("nobody was told of a bad token")
	}
}
