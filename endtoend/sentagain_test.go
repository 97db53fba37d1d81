package endtoend

import (
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// acceptances records how many notifications APNs had accepted at each time.
type acceptances struct {
	at    []time.Time
	count []int
}

// watch records acceptances until done.
func (w *world) watch(done func(accepted int, since time.Duration) bool) (a acceptances) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < 60*time.Second; <-tick.C {
		accepted := w.Sim.Stats().Accepted
		a.at, a.count = append(a.at, time.Now()), append(a.count, accepted)
		if done(accepted, time.Since(start)) {
			break
		}
	}
	return a
}

// before is how many had been accepted at the time at.
func (a acceptances) before(at time.Time) (n int) {
	for i := range a.at {
		if !a.at[i].After(at) {
			n = a.count[i]
		}
	}
	return n
}

// A provider writes 2,000 notifications, the gateway is killed, and the provider sends all of
// them again to the next process. In `always` the disk tells what it has had: only those that
// were in flight, or delivered in the last moment, arrive twice.
func TestKilledAndAllSentAgain(t *testing.T) {
	const count = 2000
	for _, tt := range []struct {
		name string
		pace time.Duration // of 20 notifications
		when func(accepted int, since time.Duration) bool
	}{
		{"half way", 10 * time.Millisecond, func(accepted int, _ time.Duration) bool { return accepted >= count/2 }},
		{"half way, at full speed", 0, func(accepted int, _ time.Duration) bool { return accepted >= count/2 }},
		{"at two seconds", 0, func(_ int, since time.Duration) bool { return since >= 2*time.Second }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, late)
			w.FixPorts()
			w.Amend("apps:", spoolAll+"\napps:")
			write := func(p *process, pace time.Duration) (written chan struct{}) {
				conn, written := p.dial(w), make(chan struct{})
				go func() {
					defer close(written)
					for i := range count {
						if _, err := conn.Write(servertest.Enhanced(servertest.Token("2b", i), i+1)); err != nil {
							return // killed
						}
						if i%20 == 19 && pace > 0 {
							<-time.After(pace)
						}
					}
					conn.Close()
				}()
				return written
			}
			p := startProcess(t, w)
			written := write(p, tt.pace)
			seen := w.watch(tt.when)
			killed := time.Now()
			p.kill()
			<-written
			w.Await("APNs has read what the process sent", func(s apnssim.Stats) bool { return s.OpenConnections == 0 })
			received := w.Sim.Stats().Received

			p = startProcess(t, w)
			<-write(p, 0)
			w.Await("all arrive", func(s apnssim.Stats) bool { return s.Accepted-s.Duplicates >= count })
			p.terminate() // delivers what else is on its way
			if err := p.wait(); err != nil {
				t.Error(err)
			}
			s := w.Sim.Stats()
			flying := atPace(t, s.Duplicates, func(slower float64) int {
				moment := time.Duration(slower * float64(lastMoment))
				return received - seen.before(killed.Add(-moment))
			})
			if s.Accepted-s.Duplicates != count || s.Duplicates > flying {
				t.Errorf("%d were accepted with %d duplicates, want %d besides these, and at most the %d in flight",
					s.Accepted, s.Duplicates, count, flying)
			}
			t.Logf("%d accepted, %d duplicates, %d in flight at the kill", s.Accepted, s.Duplicates, flying)
		})
	}
}
