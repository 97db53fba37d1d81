//go:build unix

package endtoend

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/fleet"
	"apnsbridge/fleet/member"
	"apnsbridge/store/storetest"
)

// troubles are what may be wrong with APNs while an app goes to another node.
var troubles = map[string]apnssim.Scenario{
	"no connection": {Outage: &apnssim.Outage{Refuse: true}},
	"503":           {Outage: &apnssim.Outage{}},
	"429":           {Reasons: []apnssim.Rule{{Prefix: "c", Probability: 0.3, Reason: apnssim.TooManyRequests}}},
	"slow":          {Latency: apnssim.Latency{Fixed: 1500, Jitter: 1000}},
}

// unwell calls do for each trouble and mode of the spool, with a fleet of that mode.
func unwell(t *testing.T, do func(t *testing.T, n *nodes, trouble apnssim.Scenario)) {
	inLong(t)
	for _, mode := range []string{"overflow", "always"} {
		for name, trouble := range troubles {
			t.Run(mode+" "+name, func(t *testing.T) {
				t.Parallel()
				do(t, newNodes(t, usualLatency, "spool: {mode: "+mode+"}\n"), trouble)
			})
		}
	}
}

// ail brings APNs into trouble, for long enough that some notifications have to wait. It cuts
// connections only when APNs accepts nothing any more: a push whose answer is lost would be
// repeated.
func (n *nodes) ail(t *testing.T, trouble apnssim.Scenario) {
	t.Helper()
	if trouble.Outage != nil {
		n.becomes(t, troubles["503"])
		<-time.After(300 * time.Millisecond)
	}
	n.becomes(t, trouble)
	<-time.After(300 * time.Millisecond)
}

func (n *nodes) becomes(t *testing.T, s apnssim.Scenario) {
	t.Helper()
	if err := n.sim.SetScenario(s); err != nil {
		t.Fatal(err)
	}
}

// The app is moved while APNs is in trouble, and moved on once it is well.
func TestFleetMovesWhileUnwell(t *testing.T) {
	unwell(t, func(t *testing.T, n *nodes, trouble apnssim.Scenario) {
		first, second := n.pair(shortLease)
		third := n.add(shortLease)
		servertest.WaitFor(t, "all know one another", func() bool {
			return first.linked()+second.linked()+third.linked() == 9
		})
		_, of, end := steady(t, first, second, third)
		from, to := first, second
		for _, next := range []*world{third, first} {
			n.more(t, 200)
			n.ail(t, trouble)
			n.moves(t, from, to)
			n.becomes(t, usualLatency)
			from, to = to, next
		}
		n.more(t, 200)
		end()
		n.settle(t, first, of...)
	})
}

// The owner ends while APNs is in trouble, within its time, and starts again.
func TestFleetEndsWhileUnwell(t *testing.T) {
	unwell(t, func(t *testing.T, n *nodes, trouble apnssim.Scenario) {
		const drain = 10 * time.Second
		first, p, second := n.processAnd(", drain: 10s")
		_, of, end := steady(t, first, second)
		n.more(t, 200)
		n.ail(t, trouble)
		began := time.Now()
		p.terminate()
		err := p.wait()
		if took := time.Since(began); !within(t, took, drain+2*time.Second) {
			t.Errorf("it has ended after %v: %v", took, err)
		} else {
			t.Logf("it has ended after %v: %v", took, err)
		}
		startProcess(t, first)
		n.becomes(t, usualLatency)
		n.more(t, 200)
		end()
		n.settle(t, second, of...)
	})
}

// A node with half of fifty apps ends: the other node takes them all within seconds.
func TestFleetFiftyApps(t *testing.T) {
	inLong(t)
	t.Parallel()
	var apps []string
	for i := range 50 {
		apps = append(apps, fmt.Sprint("app", i))
	}
	n := newNodes(t, usualLatency, "")
	for range 2 {
		w := n.configure(usualLease)
		w.serve(apps...)
		w.Start()
		t.Cleanup(n.stop)
	}
	first, second := n.all[0], n.all[1]
	n.acquaint(first, second)
	front := n.balance(t, "roundrobin")
	var via []*world
	for _, app := range apps {
		via = append(via, front.clientOf(t, app))
	}
	_, of, end := load(t, len(apps), paced(20*time.Millisecond), via...)
	n.more(t, 2000)
	if ours := first.lives(); ours == 0 || ours == len(apps) {
		t.Errorf("%d live on the node that ends", ours)
	}
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- first.StopWithin(20 * time.Second) }()
	servertest.WaitFor(t, "the second has all", func() bool { return second.lives() == len(apps) })
	if took := time.Since(began) - member.Hushed; !within(t, took, 3*time.Second) {
		t.Errorf("taken over after %v", took)
	} else {
		t.Logf("taken over after %v", took)
	}
	n.more(t, 1000)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	end()
	for i := range via {
		n.settle(t, via[i], of[i])
	}
}

// lives is how many apps live on a node.
func (w *world) lives() (apps int) {
	w.T.Helper()
	for _, a := range w.fleet().Apps {
		if a.State == fleet.Here.String() {
			apps++
		}
	}
	return apps
}

// PostgreSQL is restarted while a node gives the app away.
func TestFleetEngineRestartsWhileGiven(t *testing.T) {
	inLong(t)
	for _, after := range []time.Duration{900 * time.Millisecond, time.Second, 1100 * time.Millisecond} { // hush is 1 s with this lease
		for _, mode := range []string{"overflow", "always"} {
			t.Run(fmt.Sprint(mode, " ", after), func(t *testing.T) {
				t.Parallel()
				server := ownPostgres(t)
				n := newNodesOn(t, server, usualLatency, "spool: {mode: "+mode+"}\n")
				first, second := n.pair(shortLease)
				_, of, end := steady(t, first, second)
				n.more(t, 300)
				moved := make(chan string, 1)
				go func() {
					status, said := first.move(t, "gw2")
					moved <- fmt.Sprint(status, " ", said)
				}()
				<-time.After(after)
				server.Kill()
				if err := server.Start(); err != nil {
					t.Fatal(err)
				}
				t.Log(<-moved)
				servertest.WaitFor(t, "one has it", oneHas(first, second))
				n.more(t, 300)
				end()
				n.settle(t, first, of...)
			})
		}
	}
}

// The disk of the node that has the app is full, and the node gives the app away.
func TestFleetMovesFromAFullDisk(t *testing.T) {
	inLong(t)
	eachMode(t, func(t *testing.T, n *nodes, _ string) {
		disk := storetest.NewDisk(t, 16<<20)
		first := n.configure(shortLease)
		if err := os.Symlink(disk.Dir, first.Path("data")); err != nil {
			t.Fatal(err)
		}
		first.Start()
		t.Cleanup(n.stop)
		first.owns(t)
		second := n.add(shortLease)
		n.acquaint(first, second)
		_, of, end := steady(t, first, second)
		n.more(t, 300)
		disk.Fill()
		n.ail(t, troubles["503"])
		if status, said := first.move(t, "gw2"); status != http.StatusOK {
			t.Error(said)
		}
		servertest.WaitFor(t, "it has moved", func() bool { return second.place() == fleet.Here })
		n.becomes(t, usualLatency)
		n.more(t, 300)
		disk.Free()
		end()
		n.settle(t, second, of...)
	})
}
