package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/bridge/upstream"
)

// Whatever APNs answers and when, whatever is reloaded or removed: of each device
// one notification is on its way at a time, in the order in which they came, and
// in the end each is accepted once.
func TestTroublesLoseAndDoubleNothing(t *testing.T) {
	rounds := 20
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
	now  time.Time
	hand [2]*handUpstream

	pushed   map[byte][]string // payloads, by device
	accepted map[byte][]string
}

func newTroubles(t rapid.TB) *troubles {
	w := &troubles{now: time.Unix(1_700_000_000, 0), pushed: make(map[byte][]string), accepted: make(map[byte][]string)}
	w.hand = [2]*handUpstream{new(handUpstream), new(handUpstream)}
	var err error
	w.Bridge, err = newBridge(Config{Feedback: new(list), Now: func() time.Time { return w.now }, Limits: Limits{Window: 1 << 20},
		Apps: []App{{Name: "mail", Topic: topic, Credential: new(upstream.Credential)}}})
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
	moved := conf.Environment != e
	conf.Environment = e
	w.app.route.Store(&route{app: conf, upstreams: [2]carrier{w.hand[0], w.hand[1]}})
	w.app.rerouted(moved)
}

// answer answers the attempt i of all that are upstream.
func (w *troubles) answer(i int, c upstream.Class) {
	u := w.hand[Production]
	if i >= len(u.sent) {
		i -= len(u.sent)
		u = w.hand[Sandbox]
	}
	r := u.sent[i]
	u.sent = slices.Delete(u.sent, i, i+1)
	if c != upstream.NoConnection && !r.begin() {
		return
	}
	if c == upstream.Accepted {
		device := r.Token()[0]
		w.accepted[device] = append(w.accepted[device], string(r.Payload()))
	}
	w.app.answered(r, upstream.Verdict{Class: c})
}

func (w *troubles) upstream() int { return len(w.hand[0].sent) + len(w.hand[1].sent) }

// tick lets time pass for gates, and for those that wait for themselves.
func (w *troubles) tick(d time.Duration) {
	w.now = w.now.Add(d)
	w.app.probe(w.now)
	for {
		r, _ := w.waiting.next(time.Now().Add(d))
		if r == nil {
			return
		}
		w.app.send(r)
	}
}

// check wants a device's notifications one by one.
func (w *troubles) check(t *rapid.T) {
	seen := make(map[byte]bool)
	look := func(list []*record) {
		for _, r := range list {
			if device := r.Token()[0]; seen[device] {
				t.Fatalf("two for device %d are on their way", device)
			} else {
				seen[device] = true
			}
		}
	}
	for e := range w.hand {
		look(w.hand[e].sent)
		look(w.app.gates[e].held.list)
	}
	for _, x := range w.waiting.due {
		look([]*record{x.r})
	}
	for device, pushed := range w.pushed {
		accepted := w.accepted[device]
		if len(accepted) > len(pushed) || !slices.Equal(accepted, pushed[:len(accepted)]) {
			t.Fatalf("device %d: accepted %v of %v", device, accepted, pushed)
		}
		if seen[device] != (len(accepted) < len(pushed)) {
			t.Fatalf("device %d: %d of %d were accepted, on its way: %v", device, len(accepted), len(pushed), seen[device])
		}
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
	classes := []upstream.Class{upstream.Accepted, upstream.Accepted, upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.NoConnection, upstream.CredentialRefused, upstream.CredentialRefused, upstream.TokenUpdates, upstream.StaleToken, upstream.Unprocessed}
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
			t.Fatalf("%d are left, of which %d wait: %+v", w.unsettled.Load(), w.waiting.len(), w.Stats().Apps["mail"].Breaker)
		}
		for w.upstream() > 0 {
			w.answer(0, upstream.Accepted)
		}
		w.tick(2 * time.Minute) // the most that anyone waits
	}
	w.check(t)
	for e := range w.app.gates {
		if w.app.gates[e].held.len() != 0 {
			t.Fatal("something waits that is settled")
		}
	}
	if w.Stats().Apps["mail"].Dropped != 0 {
		t.Fatal("something was given up")
	}
}

// whileOpen gives an app with three that wait at its open gate, of which the
// first expires after 10 s.
func whileOpen(t *testing.T) *troubles {
	w := newTroubles(t)
	t.Cleanup(w.cancel)
	s, err := w.Open(&recorder{changed: make(chan struct{}, 1)}, Origin{App: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		n := note(deviceToken([]byte{byte(i)}, 0), uint32(i), hello)
		if i == 0 {
			n.Expiry, n.HasExpiry = uint32(w.now.Unix()+10), true
		}
		s.Push(n)
	}
	for range 3 {
		w.answer(0, upstream.NoConnection)
	}
	if w.upstream() != 0 || w.app.gates[Production].stats().Waiting != 3 {
		t.Fatalf("%d are upstream, %+v", w.upstream(), w.app.gates[Production].stats())
	}
	w.tick(time.Second)
	return w
}

// A probe that finds nothing out makes room for another at once.
func TestProbeThatIsNotAsked(t *testing.T) {
	tests := []struct {
		name string
		set  func(*troubles, *record)
	}{
		{"expired", func(w *troubles, _ *record) { w.now = w.now.Add(10 * time.Second) }},
		{"a known bad token", func(w *troubles, r *record) { w.app.badTokens.refused(w.app.device(r), w.now) }},
		{"the app is on hold", func(w *troubles, _ *record) {
			for i := range guardTokens {
				w.app.hold.refused(heldRecord(i, w.now), w.now, true)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := whileOpen(t)
			up := w.hand[Production]
			if len(up.sent) != 1 {
				t.Fatalf("%d probes, want 1", len(up.sent))
			}
			probe := up.sent[0]
			up.sent = nil
			if tt.set(w, probe); probe.begin() {
				t.Fatal("an attempt begins")
			}
			w.app.probe(w.now)
			if len(up.sent) != 1 || up.sent[0] == probe {
				t.Errorf("%d others are tried, want 1", len(up.sent))
			}
		})
	}
}

// A probe that APNs has not looked at goes again. Otherwise it waits with the
// others.
func TestProbeAsksOnce(t *testing.T) {
	w := whileOpen(t)
	up := w.hand[Production]
	probe := up.sent[0]
	w.answer(0, upstream.Unprocessed)
	if len(up.sent) != 1 || up.sent[0] != probe {
		t.Fatal("it is not sent again")
	}
	w.answer(0, upstream.StaleToken)
	if st := w.app.gates[Production].stats(); len(up.sent) != 0 || st.Waiting != 3 {
		t.Errorf("%d are upstream, %d wait; want 0 and 3", len(up.sent), st.Waiting)
	}
}
