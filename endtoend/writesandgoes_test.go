package endtoend

import (
	"context"
	"crypto/tls"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/provider"
)

// goer is a provider that writes its list and goes. It reads nothing, and sends nothing
// again.
type goer struct {
	frames int
	bad    func(i int) bool // whether the token of the i-th is bad, counted from 0
	rate   int              // in frames a second; 0: as fast as it can
	simple bool             // frames without identifier
	began  chan<- struct{}  // receives when the connection is there
}

func (g goer) String() string {
	how := "at once"
	if g.rate > 0 {
		how = fmt.Sprintf("%d a second", g.rate)
	}
	return fmt.Sprintf("%d frames, %s", g.frames, how)
}

// none and the others say where the bad tokens of a list are.
func none(int) bool                 { return false }
func early(i int) bool              { return i == 10 }
func atTheEnd(n int) func(int) bool { return func(i int) bool { return i == n-3 } }
func oneIn(n int) func(int) bool    { return func(i int) bool { return i%n == n/2 } }

// note is the i-th notification of a list whose first one has the number first. Each goes to
// a device of its own.
func (g goer) note(first, i int) binproto.Notification {
	n := binproto.Notification{
		Command: binproto.Enhanced, Token: servertest.Unhex(servertest.Token("a1", first+i)), Identifier: uint32(i + 1), HasIdentifier: true,
		Payload: fmt.Appendf(nil, `{"aps":{"alert":"number %d"}}`, first+i), Expiry: uint32(time.Now().Add(time.Hour).Unix()), HasExpiry: true,
	}
	if g.bad(i) {
		n.Token = servertest.Unhex(servertest.Token("bad0", first+i))
	}
	if g.simple {
		n.Command, n.HasIdentifier, n.HasExpiry = binproto.Simple, false, false
	}
	return n
}

// write writes the list over a connection and closes it.
func (g goer) write(ctx context.Context, w *world, config *tls.Config, first int) error {
	conn, err := provider.Dial(ctx, w.Push, config)
	if err != nil {
		return err
	}
	if g.began != nil {
		g.began <- struct{}{}
	}
	return g.put(conn, first)
}

// put writes the list to a connection and closes it.
func (g goer) put(conn *provider.Conn, first int) error {
	const together = 20
	var frames []byte
	began := time.Now()
	for i := 0; i < g.frames; {
		frames = frames[:0]
		for range min(together, g.frames-i) {
			n := g.note(first, i)
			frames = n.Append(frames)
			i++
		}
		if _, err := conn.Write(frames); err != nil {
			return fmt.Errorf("behind %d of %d: %w", i, g.frames, err)
		}
		if g.rate > 0 {
			<-time.After(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(g.rate))))
		}
	}
	return conn.Close()
}

// fates is what becomes of the notifications of lists.
type fates struct {
	*world
	seen   int // pushes that APNs got and look has read
	times  map[string]int
	listed map[string]bool
}

func newFates(w *world) *fates {
	return &fates{world: w, times: make(map[string]int), listed: make(map[string]bool)}
}

// settle waits until APNs has accepted every good notification of g's list, and the feedback
// list has every bad token. It fails the test if a notification was accepted twice.
func (f *fates) settle(t *testing.T, g goer, first int) {
	t.Helper()
	const slowest = 4 * time.Minute // a tail behind an unread packet is given up after two
	var lost, unlisted, firstLost int
	for deadline := time.Now().Add(slowest); ; {
		f.look(t)
		lost, unlisted = 0, 0
		for i := range g.frames {
			n := g.note(first, i)
			switch {
			case g.bad(i) && !f.listed[string(n.Token)]:
				unlisted++
			case !g.bad(i) && f.times[string(n.Token)] == 0:
				if lost++; lost == 1 {
					firstLost = i
				}
			}
		}
		if lost+unlisted == 0 || time.Now().After(deadline) {
			break
		}
		<-time.After(200 * time.Millisecond)
	}
	doubled := 0
	for i := range g.frames {
		n := g.note(first, i)
		if f.times[string(n.Token)] > 1 {
			doubled++
		}
	}
	if lost+doubled+unlisted > 0 {
		t.Errorf("%v: %d lost, the first %d, %d doubled, %d bad tokens not on the feedback list",
			g, lost, firstLost, doubled, unlisted)
	}
}

// look reads what has come since the last look.
func (f *fates) look(t *testing.T) {
	t.Helper()
	f.count()
	for device := range f.world.listed(t) {
		f.listed[device] = true
	}
}

// count counts what APNs has accepted since it was last called. The simulator keeps two million
// pushes, so long runs call it now and then.
func (f *fates) count() {
	got := f.Sim.Received(f.seen)
	for _, push := range got.Pushes {
		f.seen = max(f.seen, push.Seq)
		if push.Status == 200 {
			f.times[string(servertest.Unhex(push.Token))]++
		}
	}
}

var slowVerdicts = apnssim.Scenario{Latency: apnssim.Latency{Fixed: 100}}

// When a provider writes its list and goes, each good notification is delivered once, and each
// bad token, wherever it is in the list, goes to the feedback list.
func TestWritesAndGoes(t *testing.T) {
	for _, mode := range []string{"overflow", "always"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slowVerdicts)
			if mode != "overflow" {
				w.Reconfigure("apps:", "spool: {mode: "+mode+"}\napps:")
				w.Start()
			}
			f, first := newFates(w), 0
			for round := range rounds(1, 50) {
				for _, g := range goers() {
					config := w.ClientTLS()
					if round%2 == 1 {
						config.MaxVersion = tls.VersionTLS12
					}
					if err := g.write(t.Context(), w, config, first); err != nil {
						t.Errorf("%v: %v", g, err)
					}
					f.settle(t, g, first)
					first += g.frames
				}
			}
		})
	}
}

// The same when the gateway is stopped at any moment and started again.
func TestWritesAndGoesAcrossRestart(t *testing.T) {
	for _, mode := range []string{"overflow", "always"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slowVerdicts)
			if mode != "overflow" {
				w.Reconfigure("apps:", "spool: {mode: "+mode+"}\napps:")
				w.Start()
			}
			f, first, r := newFates(w), 0, lots(t)
			for range rounds(1, 20) {
				for _, g := range goers() {
					began, wrote := make(chan struct{}, 1), make(chan error, 1)
					g.began = began
					go func() { wrote <- g.write(t.Context(), w, w.ClientTLS(), first) }()
					<-began
					<-time.After(between(r, 0, 700*time.Millisecond))
					w.Stop()
					if err := <-wrote; err != nil {
						t.Errorf("%v: %v", g, err)
					}
					w.Start()
					f.settle(t, g, first)
					first += g.frames
				}
			}
		})
	}
}

// Long lists, and slow writers, on a machine that is busy with other work.
func TestLongListsWrittenAndGone(t *testing.T) {
	if !*long {
		t.Skip("takes minutes: -long")
	}
	for _, busy := range []bool{false, true} {
		for _, mode := range []string{"overflow", "always"} {
			t.Run(fmt.Sprintf("%s, busy %t", mode, busy), func(t *testing.T) {
				w := newWorld(t, slowVerdicts)
				if mode != "overflow" {
					w.Reconfigure("apps:", "spool: {mode: "+mode+"}\napps:")
					w.Start()
				}
				if busy {
					defer keepBusy()()
				}
				f, first := newFates(w), 0
				for _, g := range []goer{
					{frames: 20_000, bad: early},
					{frames: 20_000, bad: oneIn(50)},
					{frames: 100_000, bad: early},
					{frames: 100_000, bad: atTheEnd(100_000)},
					{frames: 100_000, bad: oneIn(1000)},
					{frames: 100_000, bad: oneIn(50)},
					{frames: 2000, bad: oneIn(1000), rate: 2000},
					{frames: 5000, bad: oneIn(50), rate: 2000},
					{frames: 20_000, bad: early, rate: 2000},
					{frames: 100_000, bad: oneIn(1000), rate: 2000},
				} {
					if err := g.write(t.Context(), w, w.ClientTLS(), first); err != nil {
						t.Errorf("%v: %v", g, err)
					}
					f.settle(t, g, first)
					first += g.frames
					t.Logf("%v: settled", g)
				}
			})
		}
	}
}

// keepBusy gives every processor something else to do.
func keepBusy() (stop func()) {
	var done atomic.Bool
	for range runtime.NumCPU() {
		go func() {
			for !done.Load() {
			}
		}()
	}
	return func() { done.Store(true) }
}

// goers are the providers of a round.
func goers() []goer {
	all := []goer{
		{frames: 2000, bad: early},
		{frames: 5000, bad: oneIn(50)},
	}
	if *long {
		all = append(all, goer{frames: 2000, bad: oneIn(50)}, goer{frames: 2000, bad: atTheEnd(2000)},
			goer{frames: 5000, bad: early},
			goer{frames: 5000, bad: atTheEnd(5000)}, goer{frames: 2000, bad: oneIn(1000), simple: true})
	}
	return all
}

// rounds is how often a test repeats what seldom goes wrong.
func rounds(short, longer int) int {
	if *long {
		return longer
	}
	return short
}
