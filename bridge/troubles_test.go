package bridge

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/bridge/upstream"
)

// Whatever APNs answers and when, and whatever is reloaded or removed, each device has one
// notification on its way at a time, in order of arrival, and in the end each is accepted once.
func TestTroublesLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	rounds := 10
	if *long {
		rounds = 2000
	}
	for range rounds {
		rapid.Check(t, checkTroubles)
	}
}

// troubles is an app whose upstreams are the test.
type troubles struct {
	*Bridge
	app  *app
	time atomic.Int64 // nanoseconds since 1970
	hand [2]*handUpstream

	pushed   map[byte][]string // payloads, by device
	accepted map[byte][]string
}

func newTroubles(t rapid.TB) *troubles {
	w := &troubles{pushed: make(map[byte][]string), accepted: make(map[byte][]string)}
	w.hand = [2]*handUpstream{new(handUpstream), new(handUpstream)}
	w.time.Store(1_700_000_000e9)
	var err error
	w.Bridge, err = newBridge(Config{Feedback: new(list), Now: w.now, Limits: Limits{Window: 1 << 20},
		Apps: []App{{Name: "mail", Topic: topic, Credentials: forAll(new(upstream.Credential))}}})
	if err != nil {
		t.Fatal(err)
	}
	w.app = w.apps["mail"]
	w.route(Production)
	return w
}

// route leads the app to an environment, over connections that are new.
func (w *troubles) route(e Environment) {
	conf := w.app.route.Load().app
	conf.Environment = e
	w.app.route.Store(&route{app: conf, ways: handWays(conf, w.hand[0], w.hand[1]), lanes: w.app.lanesFor(conf)})
	for _, l := range w.app.lanes {
		l.during(l.core.Renewed)
	}
	w.tick(0)
}

// answer answers the attempt i of all that are upstream.
func (w *troubles) answer(i int, c upstream.Class) {
	u := w.hand[Production]
	if i >= len(u.sent) {
		i -= len(u.sent)
		u = w.hand[Sandbox]
	}
	n := u.sent[i]
	u.sent = slices.Delete(u.sent, i, i+1)
	if c != upstream.NoConnection && !n.begin(w.now()) {
		return
	}
	if c == upstream.Accepted {
		device := n.Token()[0]
		w.accepted[device] = append(w.accepted[device], string(n.Payload()))
	}
	n.answered(upstream.Verdict{Class: c}, w.now())
	w.tick(0)
}

func (w *troubles) upstream() int { return len(w.hand[0].sent) + len(w.hand[1].sent) }

// tick lets time pass, and the lanes do what is due.
func (w *troubles) tick(d time.Duration) {
	w.time.Add(int64(d))
	for _, l := range w.app.lanes {
		l.work()
	}
}

func (w *troubles) lane() LaneStats { return w.Stats().Apps["mail"].Lanes.Production }

// check wants a device's notifications one by one.
func (w *troubles) check(t *rapid.T) {
	seen := make(map[byte]bool)
	for e := range w.hand {
		for _, n := range w.hand[e].sent {
			if device := n.Token()[0]; seen[device] {
				t.Fatalf("two for device %d are on their way", device)
			} else {
				seen[device] = true
			}
		}
	}
	left := 0
	for device, pushed := range w.pushed {
		accepted := w.accepted[device]
		left += len(pushed) - len(accepted)
		if len(accepted) > len(pushed) || !slices.Equal(accepted, pushed[:len(accepted)]) {
			t.Fatalf("device %d: accepted %v of %v", device, accepted, pushed)
		}
	}
	if got := w.Stats().Apps["mail"].Waiting.Notifications; got != left {
		t.Fatalf("%d wait, want %d", got, left)
	}
}

func checkTroubles(t *rapid.T) {
	w := newTroubles(t)
	defer w.cancel()
	p := &recorder{changed: make(chan struct{}, 1), room: make(chan struct{}, 100)}
	s, err := w.Open(p, Origin{App: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	classes := []upstream.Class{upstream.Accepted, upstream.Accepted, upstream.ServerError, upstream.ServerError,
		upstream.ServerError,
		upstream.NoConnection, upstream.CredentialRefused, upstream.TokenUpdates, upstream.TopicRefused, upstream.StaleToken, upstream.Unprocessed}
	bad := 0 // of the next answers
	count := 0
	t.Repeat(map[string]func(*rapid.T){
		"push": func(t *rapid.T) {
			device := rapid.Byte().Draw(t, "device") % 12
			count++
			payload := fmt.Sprint(count)
			w.pushed[device] = append(w.pushed[device], payload)
			s.Push(note(deviceToken([]byte{device}, 0), uint32(count), payload))
		},
		"answer": func(t *rapid.T) {
			if w.upstream() == 0 {
				t.Skip("nothing is upstream")
			}
			c := rapid.SampledFrom(classes).Draw(t, "class")
			if bad > 0 && c == upstream.Accepted {
				c = upstream.ServerError
			}
			bad--
			w.answer(rapid.IntRange(0, w.upstream()-1).Draw(t, "which"), c)
		},
		"outage": func(t *rapid.T) { bad = rapid.IntRange(0, 20).Draw(t, "answers") },
		"tick": func(t *rapid.T) {
			w.tick(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)
		},
		"reload": func(t *rapid.T) { w.route(Environment(rapid.IntRange(0, 1).Draw(t, "environment"))) },
		"": func(t *rapid.T) {
			w.check(t)
		},
	})
	for round := 0; w.unsettled.Load() > 0; round++ {
		if round > 1000 {
			t.Fatalf("%d are left: %+v", w.unsettled.Load(), w.lane())
		}
		for w.upstream() > 0 {
			w.answer(0, upstream.Accepted)
		}
		w.tick(2 * time.Minute) // the most that anyone waits for APNs
	}
	w.check(t)
	if w.Stats().Apps["mail"].Dropped != 0 {
		t.Fatal("something was given up")
	}
}

// whileClosed gives an app with three notifications that wait at its closed door. The first
// expires after 10 s. One of them is with the upstream, as a probe.
func whileClosed(t *testing.T) *troubles {
	w := newTroubles(t)
	t.Cleanup(w.cancel)
	s, err := w.Open(&recorder{changed: make(chan struct{}, 1)}, Origin{App: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		n := note(deviceToken([]byte{byte(i)}, 0), uint32(i), hello)
		if i == 0 {
			n.Expiry, n.HasExpiry = uint32(w.now().Unix()+10), true
		}
		s.Push(n)
	}
	for range 3 {
		w.answer(0, upstream.NoConnection)
	}
	if w.upstream() != 0 || w.lane().AtDoor != 3 {
		t.Fatalf("%d are upstream, %+v", w.upstream(), w.lane())
	}
	w.tick(time.Second)
	return w
}

// A probe about which APNs is not asked is followed by another at once.
func TestProbeThatIsNotAsked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  func(*troubles, *notification)
	}{
		{"expired", func(w *troubles, n *notification) { n.Expires = w.now().Unix() }},
		{"a known bad token", func(w *troubles, n *notification) {
			w.app.badTokens.Refused(n.lane.device(n), w.now(), "BadDeviceToken")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := whileClosed(t)
			up := w.hand[Production]
			if len(up.sent) != 1 {
				t.Fatalf("%d probes, want 1", len(up.sent))
			}
			probe := up.sent[0]
			device := probe.Token()[0]
			up.sent = nil
			if tt.set(w, probe); probe.begin(w.now()) {
				t.Fatal("an attempt begins")
			}
			w.tick(0)
			if len(up.sent) != 1 || up.sent[0].Token()[0] == device {
				t.Errorf("%d others are tried, want 1", len(up.sent))
			}
		})
	}
}

// A probe that APNs has not processed waits with the others, and another goes when it is due.
func TestProbeAsksOnce(t *testing.T) {
	t.Parallel()
	w := whileClosed(t)
	up := w.hand[Production]
	w.answer(0, upstream.StaleToken)
	if st := w.lane(); len(up.sent) != 0 || st.AtDoor != 3 {
		t.Errorf("%d are upstream, %d wait; want 0 and 3", len(up.sent), st.AtDoor)
	}
}

// now is the bridge's clock, which its upstreams ask too.
func (w *troubles) now() time.Time { return time.Unix(0, w.time.Load()) }
