package upstream

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"apnsbridge/bridge/apnssim"
)

// connections returns the numbers of the connections that pushes came over, in order.
func connections(sim *apnssim.Simulator) (numbers []int) {
	for _, p := range sim.Received(0).Pushes {
		numbers = append(numbers, p.Connection)
	}
	return numbers
}

func fresh(number int) *Push {
	p := note(deviceToken(goodDevice, number), hello)
	p.Fresh = true
	return p
}

// A push that asks for a new connection gets one. Once it is accepted there, older connections are
// not used any more.
func TestFreshIsAccepted(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	g := newRig(t, sim, Limits{})
	g.push(goodDevice, 1, hello)
	g.send(fresh(1))
	g.push(goodDevice, 1, hello)
	g.send(fresh(2))
	if got, want := connections(sim), []int{1, 2, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("over connections %v, want %v", got, want)
	}
	until(t, "the older are closed", func() bool { st := g.Stats(); return st.Connections == 1 && st.Leaving == 0 })
}

// If such a push is refused, the others stay on their connection. The next new connection takes
// the place of the last new one.
func TestFreshIsRefused(t *testing.T) {
	t.Parallel()
	const other = "com.example.other"
	sim := startSim(t, apnssim.Scenario{Topics: []string{topic}})
	g := newRig(t, sim, Limits{})
	g.push(goodDevice, 1, hello)
	for i := range 4 {
		p := fresh(i)
		p.Request.Topic = other
		g.send(p)
	}
	g.push(goodDevice, 1, hello)
	got := g.counted()
	if got[TopicRefused] != 4 || got[Accepted] != 2 {
		t.Errorf("verdicts %v", got)
	}
	numbers := connections(sim)
	if want := []int{1, 2, 3, 4, 5}; !slices.Equal(numbers[:5], want) {
		t.Errorf("over connections %v, want %v", numbers[:5], want)
	}
	if st := g.Stats(); st.Connections > 2 || st.Dials != 5 {
		t.Errorf("%+v, want the first connection and the last", st)
	}
}

// Pushes that ask for a new connection together share one, even while it is being dialled, and
// others do not wait for it.
func TestFreshTogether(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	g := newRig(t, sim, Limits{Connections: 1})
	to, _ := named(t, sim, "127.0.0.1")
	found, together := to.lookup, make(chan struct{})
	g.target = to
	g.push(goodDevice, 1, hello)
	to.lookup = func(ctx context.Context, network, host string) ([]netip.Addr, error) {
		<-together
		return found(ctx, network, host)
	}
	all := []*Push{note(deviceToken(goodDevice, 100), hello)}
	for i := range 50 {
		all = append(all, fresh(i))
	}
	g.hand(all...)
	until(t, "the other is accepted", func() bool { return sim.Stats().Accepted == 2 })
	close(together)
	g.wait()
	if got := g.Stats().Dials; got != 2 {
		t.Errorf("%d connections, want one new", got)
	}
	if got := connections(sim); got[1] != 1 || slices.Contains(got[2:], 1) {
		t.Errorf("over connections %v", got)
	}
}

// If there is no new connection, such a push is answered so, while the old one still serves.
func TestFreshWithoutConnection(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	g := newRig(t, sim, Limits{})
	g.once = true
	g.push(goodDevice, 1, hello)
	p := fresh(1)
	g.target.address = "127.0.0.1:1"
	g.send(p)
	if g.last.Class != NoConnection {
		t.Errorf("got %+v", g.last)
	}
	g.push(goodDevice, 1, hello)
	if got := g.counted(); got[Accepted] != 2 {
		t.Errorf("verdicts %v", got)
	}
}
