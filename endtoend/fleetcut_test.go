//go:build unix

package endtoend

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/fleet"
)

// way is the path from one node to PostgreSQL. It can be cut, or swallow what passes.
type way struct {
	dir    string // of its socket
	target string
	gate   sync.RWMutex // locked while everything is swallowed

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// newWay opens a way to the PostgreSQL whose socket is in the directory to.
func newWay(t *testing.T, to string) *way {
	t.Helper()
	const socket = ".s.PGSQL.5432"
	w := &way{dir: t.TempDir(), target: filepath.Join(to, socket), conns: make(map[net.Conn]bool)}
	l, err := net.Listen("unix", filepath.Join(w.dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.set(true)
		serving.Wait()
	})
	return w
}

// set cuts the way, or repairs it.
func (w *way) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for c := range w.conns {
			c.Close()
		}
		clear(w.conns)
	}
}

// gated is one direction of a connection.
type gated struct {
	net.Conn
	gate *sync.RWMutex
}

func (g gated) Write(b []byte) (int, error) {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Conn.Write(b)
}

func (w *way) carry(c net.Conn) {
	defer c.Close()
	to, err := net.Dial("unix", w.target)
	if err != nil {
		return
	}
	defer to.Close()
	w.mu.Lock()
	cut := w.cut
	if !cut {
		w.conns[c], w.conns[to] = true, true
	}
	w.mu.Unlock()
	if cut {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(gated{to, &w.gate}, c)
		to.Close()
	})
	_, _ = io.Copy(gated{c, &w.gate}, to)
	c.Close()
	both.Wait()
}

// The owner is cut off from PostgreSQL: once another node has the app, it goes out of service,
// tells no provider of a failure, and delivers what comes. When the connection is back, it
// passes notifications on to the new owner.
func TestFleetNodeCut(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 10, Jitter: 10}}, "")
	engine := n.engine.URL
	to := newWay(t, postgres.Dir)
	n.engine.URL = strings.Replace(engine, postgres.Dir, to.dir, 1)
	first := n.add(shortLease)
	first.owns(t)
	n.engine.URL = engine
	second := n.add(shortLease)
	servertest.WaitFor(t, "the nodes know one another", func() bool {
		return len(first.fleet().Nodes)+len(second.fleet().Nodes) == 4
	})
	_, all, end := steady(t, first, second)
	more := func() {
		t.Helper()
		before := n.sim.Stats().Accepted
		first.Await("there is load", func(s apnssim.Stats) bool { return s.Accepted > before+500 })
	}
	more()
	to.set(true)
	began := time.Now()
	servertest.WaitFor(t, "the second has the app, and the first is out of service", func() bool {
		return second.place() == fleet.Here && first.place() == fleet.Loose && !first.ready()
	})
	t.Logf("out of service after %v, with a lease of 6 s", time.Since(began))
	if !second.ready() {
		t.Error("the second is not ready")
	}
	more()
	to.set(false)
	servertest.WaitFor(t, "the first is back", func() bool {
		return first.place() == fleet.Elsewhere && first.ready()
	})
	more()
	end()
	n.settle(t, second, all...)
}

// The owner sleeps for longer than its lease, and wakes up under load: meanwhile the app has
// gone to another node, and what the old owner writes is refused.
func TestFleetOwnerSleeps(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 10, Jitter: 10}}, spoolAll+"\n")
	sleeper := n.configure(shortLease)
	process := startProcess(t, sleeper)
	second := n.add(shortLease)
	process.dial(sleeper).Close()
	servertest.WaitFor(t, "the first has the app", func() bool {
		apps := second.fleet().Apps
		return len(apps) == 1 && apps[0].Node == "gw1"
	})
	all, _, end := steady(t, second)
	second.Await("there is load", func(s apnssim.Stats) bool { return s.Accepted > 1000 })
	if err := process.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "the second has the app, and knows it", func() bool {
		return second.place() == fleet.Here && second.fleet().Apps[0].Node == "gw2"
	})
	epoch := second.fleet().Apps[0].Epoch
	sleep := 4 * time.Second
	if *long {
		sleep = 20 * time.Second
	}
	<-time.After(sleep)
	if err := process.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	before := n.sim.Stats().Accepted
	second.Await("it goes on", func(s apnssim.Stats) bool { return s.Accepted > before+1000 })
	end()
	second.deliver(t)
	if app := second.fleet().Apps[0]; app.Epoch != epoch || app.Node != "gw2" {
		t.Errorf("the app is %+v, and was in epoch %d: the sleeper has taken it again", app, epoch)
	}
	arrivals := second.arrivals(t)
	doubled := 0
	for _, p := range all {
		p.checkTails(t, arrivals)
		for i := range p.report.Taken {
			if times := len(arrivals[p.base+i]); fateOf(i) == toArrive && times == 0 && !p.isUnsure(i) {
				t.Errorf("number %d is lost", p.base+i)
			} else if times > 1 {
				doubled++
			}
		}
	}
	t.Logf("%d doubled: what was in flight when the owner fell asleep", doubled)
	if doubled > 1000 {
		t.Errorf("%d doubled", doubled)
	}
}
