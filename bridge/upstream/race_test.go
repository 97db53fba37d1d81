package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/h2conn"
)

// named returns a target whose name has the given addresses.
func named(t *testing.T, sim *apnssim.Simulator, addresses ...string) (to *target, port string) {
	t.Helper()
	u, err := url.Parse(sim.URL())
	if err != nil {
		t.Fatal(err)
	}
	to = newTarget(Endpoint{URL: "https://localhost:" + u.Port(), CA: pki().Pool()}, tokenCredential(t))
	to.lookup = func(context.Context, string, string) (found []netip.Addr, err error) {
		for _, a := range addresses {
			found = append(found, netip.MustParseAddr(a))
		}
		return found, nil
	}
	return to, u.Port()
}

// mute accepts TCP at an address and says nothing.
func mute(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err)
	}
	var held []net.Conn
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			held = append(held, c)
		}
	})
	t.Cleanup(func() {
		l.Close()
		accepting.Wait()
		for _, c := range held {
			c.Close()
		}
	})
}

// The first address that sends its SETTINGS is taken, wherever it stands in the list. Those that
// failed are tried last the next time.
func TestRace(t *testing.T) {
	t.Parallel()
	const good = "127.0.0.1"
	for _, tt := range []struct {
		name      string
		addresses []string
		mute      []string
		within    time.Duration
		then      []string // the order next time
	}{
		{"alone", []string{good}, nil, connectDelay, []string{good}},
		{"behind one that refuses", []string{"127.0.0.2", good}, nil, connectDelay, []string{good, "127.0.0.2"}},
		{"behind three that refuse", []string{"127.0.0.2", "127.0.0.3", "127.0.0.4", good}, nil, connectDelay,
			[]string{good, "127.0.0.2", "127.0.0.3", "127.0.0.4"}},
		{"behind a silent one", []string{"127.0.0.2", good}, []string{"127.0.0.2"}, settleDelay + time.Second, []string{good, "127.0.0.2"}},
		{"before a silent one", []string{good, "127.0.0.2"}, []string{"127.0.0.2"}, connectDelay, []string{good, "127.0.0.2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{})
			to, port := named(t, sim, tt.addresses...)
			for _, a := range tt.mute {
				mute(t, net.JoinHostPort(a, port))
			}
			// A machine that is busy may take longer than allowed, but not each time.
			for try := 1; ; try++ {
				late, overtaken := "", false
				for _, limit := range []time.Duration{tt.within, connectDelay} {
					begin := time.Now()
					conn, address, err := to.open(within(t), h2conn.Config{})
					if err != nil {
						t.Fatal(err)
					}
					took := time.Since(begin)
					if took > limit+time.Second {
						late += fmt.Sprintf(" took %v, want %v", took, limit)
					}
					overtaken = overtaken || took >= connectDelay // an address may have been, by the next
					if address.Addr().String() != good {
						t.Errorf("connected to %v", address)
					}
					conn.Close()
					<-conn.Done()
				}
				all, err := to.lookUp(within(t))
				if err != nil {
					t.Fatal(err)
				}
				var order []string
				for _, a := range to.best(all) {
					order = append(order, a.Addr().String())
				}
				if !slices.Equal(order, tt.then) {
					wrong := fmt.Sprintf(" the order next time is %v, want %v", order, tt.then)
					if !overtaken {
						t.Fatal(wrong)
					}
					late += wrong
				}
				if late == "" {
					return
				}
				if try == 20 {
					t.Fatalf("too late 20 times, the last%s", late)
				}
				to, _ = named(t, sim, tt.addresses...)
			}
		})
	}
}

// When no address is good, the error is that of the first one, and nothing is left running.
func TestRaceWithoutWinner(t *testing.T) {
	to, port := named(t, startSim(t, apnssim.Scenario{}), "127.0.0.2", "127.0.0.3")
	_, _, err := to.open(within(t), h2conn.Config{})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.2:"+port) ||
		!strings.Contains(err.Error(), "1 more addresses are no better") {
		t.Errorf("got %v", err)
	}
	mute(t, net.JoinHostPort("127.0.0.2", port))
	mute(t, net.JoinHostPort("127.0.0.3", port))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := to.open(ctx, h2conn.Config{}); err == nil {
		t.Error("connected, though no address answers")
	}
}

func TestLookUp(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	for _, tt := range []struct{ found, want []string }{
		{[]string{"::1", "::2", "10.0.0.1", "10.0.0.2", "10.0.0.3"}, []string{"::1", "10.0.0.1", "::2", "10.0.0.2", "10.0.0.3"}},
		{[]string{"10.0.0.1", "::1"}, []string{"10.0.0.1", "::1"}},
		{[]string{"::ffff:10.0.0.1", "10.0.0.2"}, []string{"10.0.0.1", "10.0.0.2"}},
	} {
		to, _ := named(t, sim, tt.found...)
		all, err := to.lookUp(within(t))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range all {
			got = append(got, a.Addr().String())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v became %v, want %v", tt.found, got, tt.want)
		}
	}
}

// A bad address is good again after a while, and no name can fill the memory with addresses.
func TestAvoid(t *testing.T) {
	to := new(target)
	address := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 443)
	}
	for i := range 1000 {
		to.avoid(address(i), time.Now())
	}
	if n := len(to.addresses.bad); n > 8*maxAddresses {
		t.Errorf("%d addresses are remembered", n)
	}
	*to = target{}
	to.avoid(address(1), time.Now().Add(-avoidFor))
	to.avoid(address(2), time.Now().Add(-time.Minute))
	to.avoid(address(3), time.Now().Add(-time.Second))
	got := to.best([]netip.AddrPort{address(3), address(2), address(1), address(0)})
	if want := []netip.AddrPort{address(1), address(0), address(2), address(3)}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(to.addresses.bad) != 2 {
		t.Errorf("%v are remembered, want two", to.addresses.bad)
	}
	var many []netip.AddrPort
	for i := range 100 {
		many = append(many, address(i))
	}
	if got := to.best(many); len(got) != maxAddresses {
		t.Errorf("%d addresses are tried", len(got))
	}
}

// An Upstream behind a name whose first address is silent delivers over the other.
func TestUpstreamPassesASilentAddress(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	to, port := named(t, sim, "127.0.0.2", "127.0.0.1")
	mute(t, net.JoinHostPort("127.0.0.2", port))
	g := newRig(t, sim, Limits{})
	g.target = to
	g.push(goodDevice, 100, hello)
	if got := g.counted(); fmt.Sprint(got) != fmt.Sprint(map[Class]int{Accepted: 100}) {
		t.Errorf("verdicts %v", got)
	}
}
