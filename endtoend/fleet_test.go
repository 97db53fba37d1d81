//go:build unix

package endtoend

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/fleet"
	"apnsbridge/fleet/member"
)

// A provider connects to one node, and its notifications are delivered by the other, where
// its app lives. It gets the same packets, and each good notification arrives once.
func TestFleetCarries(t *testing.T) {
	t.Parallel()
	n := newNodes(t, late, "")
	first, second := n.pair(usualLease)
	p := &resender{base: ofProvider}
	const count = 2000
	if err := p.send(t.Context(), second, inBursts(count)); err != nil {
		t.Fatal(err)
	}
	if first.place() != fleet.Here || second.place() != fleet.Elsewhere {
		t.Errorf("the app is %v on the first node and %v on the second", first.place(), second.place())
	}
	if carried := second.Sum(t, "apnsbridge_fleet_carried_total"); carried < 2 {
		t.Errorf("carried %v sessions", carried)
	}
	n.settle(t, second, p)
	if len(p.packets) == 0 {
		t.Error("no packet came")
	}
}

// inBursts makes a provider send count notifications, and pause often enough to hear of failures.
func inBursts(count int) func(taken int) bool {
	return func(taken int) bool {
		if taken%250 == 249 {
			time.Sleep(400 * time.Millisecond) // the provider's own pause
		}
		return taken < count
	}
}

// Behind a balancer that sends each connection to a different node than the one before,
// each good notification of providers of all kinds is delivered once: after one node has
// told them of a failure, they send again to the other.
func TestFleetRoundRobin(t *testing.T) {
	t.Parallel()
	n := newNodes(t, late, "")
	first, second := n.pair(usualLease)
	front := n.balance(t, "roundrobin")
	const resenders, each = 6, 2700
	var all []sender
	var sending sync.WaitGroup
	send := func(p sender, do func() error) {
		all = append(all, p)
		sending.Go(func() {
			if err := do(); err != nil {
				t.Errorf("%T: %v", p, err)
			}
		})
	}
	for i := range resenders {
		p := &resender{base: (i + 1) * ofProvider}
		its := front.another(t) // its certificate makes it a client of its own
		send(p, func() error {
			return p.send(t.Context(), its, inBursts(each))
		})
	}
	never := &stubborn{base: (resenders + 1) * ofProvider}
	send(never, func() error { return never.send(t.Context(), front.another(t), 2000, 1000) })
	goes := &leaver{base: (resenders + 2) * ofProvider, count: 2000}
	send(goes, func() error { return goes.send(t.Context(), front.another(t)) })
	sending.Wait()
	n.settle(t, front, all...)
	packets := 0
	for _, p := range all {
		if r, ok := p.(*resender); ok {
			packets += len(r.packets)
		}
	}
	a, b := first.accepted(t), second.accepted(t)
	carried := second.Sum(t, "apnsbridge_fleet_carried_total")
	t.Logf("packets %d, connections %v and %v, carried %v", packets, a, b, carried)
	alone := &resender{base: (resenders + 3) * ofProvider}
	some := inBursts(600)
	if err := alone.send(t.Context(), front.another(t), func(taken int) bool { // until it has come again, and more than once
		return some(taken) || alone.heardOf() < 3 && inBursts(20_000)(taken)
	}); err != nil {
		t.Error(err)
	}
	n.settle(t, front, alone)
	a, b = first.accepted(t)-a, second.accepted(t)-b
	if a+b < 3 || max(a, b)-min(a, b) > 1 {
		t.Errorf("a provider alone came %v times to one node and %v times to the other", a, b)
	}
	fewest := 5 * resenders
	if servertest.Raced {
		fewest = 1 // a machine that is ten times slower takes pauses for none
	}
	if packets < fewest || carried < float64(packets)/3 {
		t.Errorf("%d packets, and %v sessions carried: providers do not come to the other node", packets, carried)
	}
}

// The owner ends under load: nothing is lost or doubled, no connection is refused, and the
// next owner soon delivers.
func TestFleetOwnerEnds(t *testing.T) {
	t.Parallel()
	n := newNodes(t, someLatency, "")
	first, second := n.pair(usualLease)
	front := n.balance(t, "roundrobin")
	const providers = 8
	pause, enough, drain := 2*time.Millisecond, 4000, 16*time.Second // 4,000/s of all
	goers := 3
	if servertest.Raced { // then everything takes longer
		pause, enough, drain, goers = 10*pause, enough/10, 60*time.Second, 0
	}
	firms, ended := goAndCome(t, front, goers, (providers+1)*ofProvider)
	_, all, end := load(t, providers, paced(pause), front)
	front.Await("there is load", func(s apnssim.Stats) bool { return s.Accepted > enough })
	took, stopped := first.endsBefore(t, second, drain)
	now := n.sim.Stats().Accepted
	front.Await("it goes on", func(s apnssim.Stats) bool { return s.Accepted > now+enough })
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	ended()
	end()
	n.settle(t, second, all...)
	f := newFates(second)
	for _, p := range firms {
		p.frames *= p.lists
		f.settle(t, p.goer, p.first)
	}
	if left := first.spooled(t); len(left) > 0 {
		t.Errorf("the node that ended has left %d on its disk", len(left))
	}
	limit := 3 * time.Second
	if *long {
		limit = time.Second // as there is nothing else
	}
	if !servertest.Raced && !within(t, took, limit) {
		t.Errorf("taken over after %v", took)
	}
}

// The owner ends while providers write as fast as they can, with thousands of notifications
// behind their packets: recording these takes time.
func TestFleetOwnerEndsAtFullRate(t *testing.T) {
	inLong(t)
	t.Parallel()
	const providers, each = 8, 25_000
	n := newNodes(t, someLatency, "")
	// Enough memory for everything that is written behind their packets.
	first, second := n.pair(usualLease + ", ledger_bytes: 512MiB, ledger_bytes_per_client: 256MiB")
	front := n.balance(t, "roundrobin")
	_, all, end := load(t, providers, func(taken int) bool { return taken < each }, front)
	front.Await("there is load", func(s apnssim.Stats) bool { return s.Accepted > providers*each/10 })
	_, stopped := first.endsBefore(t, second, time.Minute)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	front.Await("most have arrived", func(s apnssim.Stats) bool { return s.Accepted > providers*each*9/10 })
	end()
	n.settle(t, second, all...)
}

// someLatency is long enough for some requests to be under way at any time.
var someLatency = apnssim.Scenario{Latency: apnssim.Latency{Fixed: 20, Jitter: 30}}

// endsBefore makes a node end within drain, and waits until the next one has the app. It gives
// how long that took after the node stopped accepting. stopped receives the result of the end.
func (w *world) endsBefore(t *testing.T, next *world, drain time.Duration) (took time.Duration, stopped <-chan error) {
	t.Helper()
	began := time.Now()
	result := make(chan error, 1)
	go func() { result <- w.StopWithin(drain) }()
	servertest.WaitFor(t, "the next node has the app", func() bool { return next.place() == fleet.Here })
	took = time.Since(began) - min(usualLeaseLasts/2, member.Hushed)
	t.Logf("taken over %v after the end of accepting", took)
	return took, result
}

// goAndCome starts count providers that write list after list and go, until end; first is the
// number of the first notification. A provider gives up if a connection is refused, or has to
// wait for two seconds.
func goAndCome(t *testing.T, w *world, count, first int) (all []*firm, end func()) {
	var ended atomic.Bool
	var written atomic.Int64
	var sending sync.WaitGroup
	for i := range count {
		p := &firm{goer: goer{frames: 60, bad: none, rate: 400}, first: first + i*ofProvider, written: &written}
		all = append(all, p)
		sending.Go(func() {
			if err := p.run(t.Context(), w, &ended); err != nil {
				t.Errorf("a provider gives up: %v", err)
			}
		})
	}
	return all, func() {
		ended.Store(true)
		sending.Wait()
	}
}
