//go:build unix

package endtoend

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/fleet"
)

// The app is moved back and forth with always, and nothing waits for a provider to end.
func TestFleetMovesAlways(t *testing.T) {
	t.Parallel()
	n := newNodes(t, usualLatency, spoolAll+"\n")
	first, second := n.pair(shortLease)
	_, of, end := steady(t, first, second)
	from, to := first, second
	for range 3 {
		n.more(t, 300)
		n.moves(t, from, to)
		from, to = to, from
	}
	n.more(t, 300)
	end()
	n.settle(t, first, of...)
}

// The app is moved to a node that lacks it, under load.
func TestFleetMovedToOneWithoutTheApp(t *testing.T) {
	t.Parallel()
	n := newNodes(t, usualLatency, "")
	first := n.add(shortLease)
	first.owns(t)
	second := n.configure(shortLease)
	second.Amend("  demo:\n", "  other:\n")
	second.Start()
	t.Cleanup(n.stop)
	n.acquaint(first, second)
	_, of, end := steady(t, first)
	n.more(t, 300)
	status, said := first.move(t, "gw2")
	t.Log(status, said)
	servertest.WaitFor(t, "the first has it again", func() bool { return first.place() == fleet.Here })
	n.more(t, 300)
	end()
	n.settle(t, first, of...)
}

// A killed node comes back without the app in its configuration.
func TestFleetRestartsWithoutTheApp(t *testing.T) {
	inLong(t)
	t.Parallel()
	n := newNodes(t, usualLatency, spoolAll+"\n")
	first, p, second := n.processAnd("")
	all, _, end := steady(t, second)
	n.more(t, 300)
	first.Amend("  demo:\n", "  other:\n")
	p.kill()
	startProcess(t, first)
	servertest.WaitFor(t, "the second has it", func() bool { return second.place() == fleet.Here })
	n.more(t, 300)
	end()
	n.audit(t, second, all, 1000)
}

// The app is moved to a node that was killed just before, and whose lease still runs.
func TestFleetMovedToADeadNode(t *testing.T) {
	inLong(t)
	t.Parallel()
	n := newNodes(t, usualLatency, "")
	first := n.add(shortLease)
	first.owns(t)
	second, p := n.process(shortLease)
	n.acquaint(first, second)
	_, of, end := steady(t, first)
	n.more(t, 300)
	p.kill()
	status, said := first.move(t, "gw2")
	t.Log(status, said)
	n.more(t, 500)
	servertest.WaitFor(t, "the first has it", func() bool { return first.place() == fleet.Here })
	end()
	n.settle(t, first, of...)
}

// The owner is killed while it gives the app away.
func TestFleetKilledWhileGiving(t *testing.T) {
	inLong(t)
	for _, after := range []time.Duration{500 * time.Millisecond, 1100 * time.Millisecond} { // hush is 1 s with this lease
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			n := newNodes(t, usualLatency, spoolAll+"\n")
			first, p, second := n.processAnd("")
			all, _, end := steady(t, second)
			n.more(t, 500)
			go func() {
				_, _, _ = first.Apnsbridge("", "fleet", "move", "demo", "gw2", "--config", first.Path("apnsbridge.yaml"))
			}()
			<-time.After(after)
			p.kill()
			servertest.WaitFor(t, "the second has the app", func() bool { return second.place() == fleet.Here })
			n.more(t, 500)
			end()
			n.audit(t, second, all, 1000)
		})
	}
}

// The node that is being given the app is cut off from PostgreSQL meanwhile.
func TestFleetCutWhileGiven(t *testing.T) {
	inLong(t)
	for _, after := range []time.Duration{100 * time.Millisecond, 900 * time.Millisecond, 1050 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			n := newNodes(t, usualLatency, "")
			engine := n.engine.URL
			first := n.add(shortLease)
			first.owns(t)
			to := newWay(t, postgres.Dir)
			n.engine.URL = strings.Replace(engine, postgres.Dir, to.dir, 1)
			second := n.add(shortLease)
			n.engine.URL = engine
			n.acquaint(first, second)
			_, of, end := steady(t, first, second)
			n.more(t, 300)
			go func() {
				status, said := first.move(t, "gw2")
				t.Log(status, said)
			}()
			<-time.After(after)
			to.set(true)
			n.more(t, 500)
			servertest.WaitFor(t, "the first has the app", func() bool { return first.place() == fleet.Here })
			to.set(false)
			servertest.WaitFor(t, "one has it", oneHas(first, second))
			n.more(t, 300)
			end()
			n.settle(t, first, of...)
		})
	}
}

// The receiver of an app sleeps for longer than its lease while it is being given the app.
func TestFleetReceiverSleeps(t *testing.T) {
	inLong(t)
	t.Parallel()
	n := newNodes(t, usualLatency, "")
	first := n.add(shortLease)
	first.owns(t)
	second, p := n.process(shortLease)
	n.acquaint(first, second)
	_, of, end := steady(t, first)
	n.more(t, 300)
	go first.move(t, "gw2")
	<-time.After(900 * time.Millisecond)
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "the first has it again", func() bool { return first.place() == fleet.Here })
	n.more(t, 500)
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "one has it", oneHas(first, second))
	n.more(t, 500)
	end()
	n.settle(t, first, of...)
}

// Both nodes are killed, or end, at the same time, and start at the same time.
func TestFleetBothRestart(t *testing.T) {
	inLong(t)
	for _, kill := range []bool{true, false} {
		t.Run(fmt.Sprint("kill ", kill), func(t *testing.T) {
			t.Parallel()
			n := newNodes(t, usualLatency, spoolAll+"\n")
			first, p := n.process(shortLease)
			first.owns(t)
			second, q := n.process(shortLease)
			n.acquaint(first, second)
			all, _, end := steady(t, first, second)
			n.more(t, 1000)
			if kill {
				p.kill()
				q.kill()
			} else {
				p.terminate()
				q.terminate()
				p.wait()
				q.wait()
			}
			startProcess(t, first)
			startProcess(t, second)
			servertest.WaitFor(t, "one has the app", oneHas(first, second))
			n.more(t, 1000)
			end()
			most := 0
			if kill {
				most = 1000
			}
			n.audit(t, first, all, most)
		})
	}
}

// Three nodes are restarted one after the other behind a balancer.
func TestFleetRollingRestart(t *testing.T) {
	inLong(t)
	t.Parallel()
	n := newNodes(t, usualLatency, "")
	first, p := n.process(shortLease)
	first.owns(t)
	_, q := n.process(shortLease)
	_, r := n.process(shortLease)
	front := n.balance(t, "roundrobin")
	_, of, end := steady(t, front)
	n.more(t, 500)
	for i, process := range []*process{p, q, r} {
		w := n.all[i]
		process.terminate()
		if err := process.wait(); err != nil {
			t.Error(err)
		}
		startProcess(t, w)
		servertest.WaitFor(t, "it is ready", w.ready)
		n.more(t, 300)
	}
	end()
	n.settle(t, front, of...)
}

// A second node of the same name does not take the first one's place.
func TestFleetSameName(t *testing.T) {
	inLong(t)
	t.Parallel()
	n := newNodes(t, usualLatency, "")
	first := n.add(shortLease)
	first.owns(t)
	epoch := uint64(0)
	servertest.WaitFor(t, "it sees its own claim", func() bool {
		epoch = first.epoch()
		return epoch > 0
	})
	impostor := n.configure(shortLease)
	impostor.Amend("node: gw2", "node: gw1")
	impostor.Start()
	t.Cleanup(n.stop)
	_, of, end := steady(t, first, impostor)
	n.more(t, 2000)
	const advice = "give one of both another fleet.node"
	if _, text := impostor.Ask(t, http.MethodGet, "/readyz", nil); !strings.Contains(text, advice) {
		t.Errorf("the second says %q", text)
	}
	if _, text := impostor.Ask(t, http.MethodGet, "/api/state.json", nil); !strings.Contains(text, advice) {
		t.Error("the second's page has no word of it")
	}
	if now := first.epoch(); first.place() != fleet.Here || now != epoch {
		t.Errorf("the app is %v in epoch %d", first.place(), now)
	}
	end()
	n.settle(t, first, of...)
}
