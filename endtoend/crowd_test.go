package endtoend

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

var (
	long = flag.Bool("long", false, "run the long rounds")
	seed = flag.Uint64("seed", 0, "of what is left to chance; 0: another each time")
)

// lots is a test's source of randomness. Its seed is in the test's log.
func lots(t *testing.T) *rand.Rand {
	n := *seed
	if n == 0 {
		n = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", n)
	return rand.New(rand.NewPCG(n, 1))
}

// between is a random time from a to b.
func between(r *rand.Rand, a, b time.Duration) time.Duration {
	return a + time.Duration(r.Int64N(int64(b-a)))
}

// ofProvider is how many notifications a provider of a crowd has at most. Each
// notification has a number that is in its payload: its provider's times this, and
// its place among those.
const ofProvider = 10_000_000

// crowded is a notification of a crowd, to one of its provider's devices. Its number tells
// it apart from all others.
func crowded(number int) binproto.Notification {
	const devices = 300
	owner, n := number/ofProvider, number%ofProvider
	return binproto.Notification{
		Command: binproto.Enhanced, Token: servertest.Unhex(servertest.Token(fmt.Sprintf("c%x", owner), n%devices)), Identifier: uint32(n), HasIdentifier: true,
		Payload: fmt.Appendf(nil, `{"aps":{"alert":"number %d"}}`, number), Expiry: uint32(time.Now().Add(time.Hour).Unix()),
	}
}

// crowdNumber finds the number of a notification in something that has its payload.
func crowdNumber(t *testing.T, in []byte) int {
	t.Helper()
	_, after, _ := bytes.Cut(in, []byte(`"number `))
	digits, _, ok := bytes.Cut(after, []byte(`"`))
	n, err := strconv.Atoi(string(digits))
	if !ok || err != nil {
		t.Fatalf("%q has no number", in)
	}
	return n
}

// arrival is one acceptance of a notification by APNs.
type arrival struct {
	seq    int // among all pushes
	apnsID string
}

// arrivals are all acceptances so far, by the number of the notification, oldest
// first.
func (w *world) arrivals(t *testing.T) map[int][]arrival {
	t.Helper()
	all := make(map[int][]arrival)
	for _, p := range w.Sim.Received(0).Pushes {
		if p.Status == 200 {
			n := crowdNumber(t, p.Payload)
			all[n] = append(all[n], arrival{p.Seq, p.APNSID})
		}
	}
	return all
}

// checkOrder checks that the first acceptances of the notifications for each device came in
// the order in which their provider wrote them.
func checkOrder(t *testing.T, w *world) {
	t.Helper()
	latest := make(map[string]int)
	seen := make(map[int]bool)
	wrong := 0
	for _, p := range w.Sim.Received(0).Pushes {
		if p.Status != 200 {
			continue
		}
		n := crowdNumber(t, p.Payload)
		if before, ok := latest[p.Token]; ok && n < before && !seen[n] {
			if wrong++; wrong <= 5 {
				t.Errorf("number %d was accepted after %d of the same device", n, before)
			}
		}
		seen[n] = true
		latest[p.Token] = max(latest[p.Token], n)
	}
	if wrong > 5 {
		t.Errorf("and %d others out of order", wrong-5)
	}
}

// spooled are the numbers of the notifications in the spool of a gateway that has ended:
// those that were committed, and are not known to be done.
func (w *world) spooled(t *testing.T) map[int]bool {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "spool"), os.DirFS(w.Path("data/spool"))); err != nil {
		t.Fatal(err)
	}
	s, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if aside := s.SetAside(); len(aside) > 0 {
		t.Fatalf("the spool is damaged: %v", aside)
	}
	left := make(map[int]bool)
	note := func(records []store.SpoolRecord, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			left[crowdNumber(t, r.Body)] = true
		}
	}
	for _, line := range s.Spool().Lines() {
		note(s.Spool().Take(t.Context(), line, math.MaxInt32, math.MaxInt64))
		devices, err := s.Spool().Devices(t.Context(), line, nil, math.MaxInt32)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range devices {
			note(s.Spool().TakeOf(t.Context(), line, d.Token, math.MaxInt32, math.MaxInt64))
		}
	}
	return left
}

// end is how a process ended.
type end struct {
	committed map[int]bool // in its spool, and not known to be done
	upTo      int          // the last push that APNs had judged
}

// accepted reports whether n, with these arrivals, was accepted before that end.
func (e end) accepted(arrivals []arrival) bool {
	return len(arrivals) > 0 && arrivals[0].seq <= e.upTo
}

// repeats are acceptances of notifications that had been accepted before.
type repeats struct {
	again   int               // from the spool of a process that had ended
	bound   int               // how many of these there could have been
	twice   map[int][]arrival // from one process, by its number: the later acceptances
	doubled []int             // notifications that were sent again and not recognised
}

// findRepeats finds the notifications that were accepted more than once. ends is how all
// processes but the last one ended. It checks that a notification that a later process had
// accepted again was in the spool of the one before.
func findRepeats(t *testing.T, ends []end, arrivals map[int][]arrival) repeats {
	t.Helper()
	r := repeats{twice: make(map[int][]arrival)}
	for _, e := range ends {
		for n := range e.committed {
			if e.accepted(arrivals[n]) {
				r.bound++
			}
		}
	}
	process := func(a arrival) int {
		if i := slices.IndexFunc(ends, func(e end) bool { return a.seq <= e.upTo }); i >= 0 {
			return i
		}
		return len(ends)
	}
	for n, accepted := range arrivals {
		for i, a := range accepted[1:] {
			switch before := latest(accepted[:i+1], a.apnsID); {
			case before == nil:
				r.doubled = append(r.doubled, n)
			case process(*before) == process(a):
				r.twice[process(a)] = append(r.twice[process(a)], a)
			case !ends[process(a)-1].committed[n]:
				t.Errorf("number %d was accepted again from process %d, in whose spool it was not", n, process(a))
			default:
				r.again++
			}
		}
	}
	return r
}

// latest is the last arrival with that name.
func latest(arrivals []arrival, apnsID string) (last *arrival) {
	for i := range arrivals {
		if arrivals[i].apnsID == apnsID {
			last = &arrivals[i]
		}
	}
	return last
}

// ended gives what a process has left behind, once APNs has seen the end of its connections.
func (w *world) ended(t *testing.T, p *process) end {
	t.Helper()
	w.Await("APNs sees the end of the connections", func(s apnssim.Stats) bool { return s.OpenConnections == 0 })
	s := w.Sim.Stats()
	return end{committed: w.spooled(t), upTo: s.Received}
}

// kill ends the process at once.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Error(err)
	}
	<-p.ended
	p.cmd.Wait()
}

// stop lets the process drain, and fails the test if it does not manage that.
func (p *process) stop() {
	p.t.Helper()
	p.terminate()
	if err := p.wait(); err != nil {
		p.t.Errorf("SIGTERM: %v\n%s", err, p.tail())
	}
}

// deliver waits until the gateway has nothing left to deliver. It looks twice, for a
// notification on its way between memory and disk may be seen in neither place.
func (w *world) deliver(t *testing.T) {
	t.Helper()
	idle := 0
	servertest.WaitFor(t, "all is delivered", func() bool {
		if w.Sum(t, "apnsbridge_notifications_unsettled") == 0 && w.Sum(t, "apnsbridge_notifications_waiting") == 0 {
			idle++
		} else {
			idle = 0
		}
		return idle == 2
	})
}

// tail is the end of its log.
func (p *process) tail() string {
	return strings.Join(p.stdlog[max(0, len(p.stdlog)-40):], "\n")
}
