package endtoend

import (
	"io"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway/provider"
)

// killed has the rounds of a test that kills its gateway under load. The gateway is a
// process of its own, with a spool that has to have everything first.
type killed struct {
	*world
	r    *rand.Rand
	ends []end
}

// newKilled starts nothing yet.
func newKilled(t *testing.T, settings string) *killed {
	k := &killed{world: newWorld(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 20, Jitter: 30}}), r: lots(t)}
	k.FixPorts()
	k.Amend("apps:", settings+"\napps:")
	return k
}

const spoolAll = "spool: {mode: always}"

// committed is what was in the spool at any of the kills.
func (k *killed) committed() map[int]bool {
	all := make(map[int]bool)
	for _, e := range k.ends {
		maps.Copy(all, e.committed)
	}
	return all
}

// met reports whether a kill met something that was committed and not accepted yet, which is chance.
func (k *killed) met(t *testing.T) bool {
	t.Helper()
	arrivals, bound := k.arrivals(t), 0
	for _, e := range k.ends {
		for n := range e.committed {
			if e.accepted(arrivals[n]) {
				bound++
			}
		}
	}
	return len(k.committed()) > bound
}

// drain lets a process deliver everything and stop, and checks that nothing is left.
func (k *killed) drain(t *testing.T, p *process) {
	t.Helper()
	k.deliver(t)
	p.stop()
	if left := k.ended(t, p).committed; len(left) > 0 {
		t.Errorf("%d notifications are left in the spool", len(left))
	}
}

// feel gives APNs a new scenario.
func (k *killed) feel(t *testing.T, scenario apnssim.Scenario) {
	t.Helper()
	scenario.Seed = k.r.Uint64()
	if err := k.Sim.SetScenario(scenario); err != nil {
		t.Fatal(err)
	}
}

// moment waits for a moment at which the present process is to be killed: sometimes soon
// after it began to serve, otherwise under load.
func (k *killed) moment() {
	wait := between(k.r, 0, 100*time.Millisecond)
	if k.r.IntN(4) > 0 {
		before := k.Sim.Stats().Accepted
		k.Await("something is accepted", func(s apnssim.Stats) bool { return s.Accepted > before+100 })
		wait = between(k.r, 0, 400*time.Millisecond)
	}
	<-time.After(wait)
}

// writer is a provider that reads nothing and sends nothing again.
type writer struct {
	number int // of its next notification
	wrote  []stretch
}

// stretch is the notifications from number from up to, but not including, to.
type stretch struct{ from, to int }

// write writes at most that many notifications over a connection, as fast as it takes them,
// and waits for the gateway to end it. final says that it is the writer's last connection,
// which it ends itself.
func (p *writer) write(w *killed, addr string, most int, final bool) error {
	wrote := stretch{p.number, p.number}
	defer func() { p.wrote = append(p.wrote, wrote) }()
	conn, err := provider.Dial(w.T.Context(), addr, w.ClientTLS())
	if err != nil {
		return err
	}
	defer conn.Close()
	var frames []byte
	for p.number < wrote.from+most {
		frames = frames[:0]
		for range 20 {
			n := crowded(p.number)
			frames = n.Append(frames)
			p.number++
		}
		wrote.to = p.number
		if _, err := conn.Write(frames); err != nil {
			return err
		}
	}
	if final {
		if err := conn.CloseWrite(); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

// A gateway that is killed at any moment under load loses nothing that was committed, and
// whatever it sends again was committed and not known to be done. What is lost of a
// provider's notifications was written last.
func TestKilledUnderLoad(t *testing.T) {
	const providers, most = 4, 15_000
	rounds := 2
	if *long {
		rounds = 20
	}
	k := newKilled(t, spoolAll)
	var writers []*writer
	for i := range providers {
		writers = append(writers, &writer{number: i * ofProvider})
	}
	for round := 0; round < rounds || !k.met(t) && round < 20; round++ {
		p := startProcess(t, k.world)
		var writing sync.WaitGroup
		for _, w := range writers {
			writing.Go(func() { w.write(k, p.push, most, false) })
		}
		k.moment()
		p.kill()
		writing.Wait()
		k.ends = append(k.ends, k.ended(t, p))
	}
	p := startProcess(t, k.world)
	var writing sync.WaitGroup
	for _, w := range writers {
		writing.Go(func() {
			if err := w.write(k, p.push, 500, true); err != nil {
				t.Errorf("the last connection: %v", err)
			}
		})
	}
	writing.Wait()
	k.drain(t, p)
	k.check(t, writers)
}

// check compares what was written with what became of it.
func (k *killed) check(t *testing.T, writers []*writer) {
	t.Helper()
	arrivals := k.arrivals(t)
	r := findRepeats(t, k.ends, arrivals)
	if len(r.doubled)+len(r.twice) > 0 {
		t.Errorf("%d notifications have two names, and some were delivered twice by %d processes: %v",
			len(r.doubled), len(r.twice), r.twice)
	}
	committed := k.committed()
	for n := range committed {
		if len(arrivals[n]) == 0 {
			t.Errorf("number %d was committed, and is lost", n)
		}
	}
	written, tails := 0, 0
	for _, w := range writers {
		for i, s := range w.wrote {
			tail := s.to
			for tail > s.from && len(arrivals[tail-1]) == 0 {
				tail--
			}
			for n := s.from; n < tail; n++ {
				if len(arrivals[n]) == 0 {
					t.Errorf("number %d of %+v is lost, and later ones are not", n, s)
					break
				}
			}
			if i == len(w.wrote)-1 && tail < s.to {
				t.Errorf("%+v was written to the last process, and all from %d on is lost", s, tail)
			}
			written += s.to - s.from
			tails += s.to - tail
		}
	}
	checkOrder(t, k.world)
	t.Logf("%d kills: %d notifications were written, %d of them last and never committed; %d were in the spool at the kills, %d of them accepted already; %d were accepted again",
		len(k.ends), written, tails, len(committed), r.bound, r.again)
	if len(k.ends) > 0 && len(committed) <= r.bound {
		t.Error("the kills met nothing that was committed and not accepted")
	}
}
