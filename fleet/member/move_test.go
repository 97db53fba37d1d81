package member

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/fleet"
	"apnsbridge/store"
)

// enter brings a guest to a node and checks the place that is found for it.
func enter(t *testing.T, m *Member, app, want string) {
	t.Helper()
	g := newGuest()
	m.Enter(app, "", g)
	g.wants(t, want)
}

// Of two concurrent moves one is refused, with an error that says that the app is being given. If
// the target ends during a move, the app stays where it is and its packets are written again.
func TestMoves(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	first, did := start(t, r, "gw1")
	enter(t, first, "mail", "here")
	second, _ := start(t, r, "gw2")
	third, _ := start(t, r, "gw3")
	acquaint(t, first, second, third)
	moves := make(chan error, 2)
	for _, to := range []string{"gw2", "gw3"} {
		go func() { moves <- first.Move(t.Context(), "mail", to) }()
	}
	refused := 0
	for range cap(moves) {
		if err := <-moves; err != nil && strings.Contains(err.Error(), "is being given") {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != 1 {
		t.Errorf("%d of two concurrent moves were refused, want 1", refused)
	}
	to, from := second, third
	until(t, "one of them has the app", func() bool {
		if to, from = second, third; third.Place("mail") == fleet.Here {
			to, from = third, second
		}
		return to.Place("mail") == fleet.Here
	})
	if err := to.Move(t.Context(), "mail", "gw1"); err != nil {
		t.Fatal(err)
	}
	until(t, "the first has the app again", func() bool { return first.Place("mail") == fleet.Here })
	name := from.Link.Node
	did.forget()
	moved := make(chan error, 1)
	go func() { moved <- first.Move(t.Context(), "mail", name) }()
	until(t, "the app is hushed", func() bool { return did.said("hush") })
	if err := from.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-moved; err == nil { // the app was given before the target's lease ended
		until(t, "a node that lives has the app", func() bool {
			return first.Place("mail") == fleet.Here || to.Place("mail") == fleet.Here
		})
	} else if until(t, "packets are written again", func() bool {
		return did.said("go on")
	}); first.Place("mail") != fleet.Here {
		t.Errorf("the app is %v, want it here: the move failed with %v", first.Place("mail"), err)
	}
}

// An app whose state is not fully written down is not moved, and its packets are written again.
func TestMoveOfAnAppThatIsNotGivable(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	first, did := start(t, r, "gw1")
	enter(t, first, "mail", "here")
	second, _ := start(t, r, "gw2")
	acquaint(t, first, second)
	did.keeps = errDown
	if err := first.Move(t.Context(), "mail", "gw2"); !errors.Is(err, errDown) {
		t.Errorf("got %v, want the error of Givable", err)
	}
	until(t, "packets are written again", func() bool { return did.said("go on") })
	did.keeps = nil
	if err := first.Move(t.Context(), "mail", "gw2"); err != nil {
		t.Error(err)
	}
	until(t, "the second has the app", func() bool { return second.Place("mail") == fleet.Here })
}

// An app that is moved to a node which is not configured with it goes on to one that is; and a
// node that leaves gives its apps to one with the same configuration, if there is one.
func TestAppThatIsNotServed(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	first, _ := start(t, r, "gw1")
	enter(t, first, "mail", "here")
	second, _ := startServing(t, r, "gw2", "other", func(string) bool { return false })
	acquaint(t, first, second)
	if err := first.Move(t.Context(), "mail", "gw2"); err == nil {
		until(t, "the first has it again", func() bool { return first.Place("mail") == fleet.Here })
	} else {
		t.Error(err)
	}
	enter(t, second, "mail", "carried to gw1")
	third, _ := start(t, r, "gw3")
	acquaint(t, first, second, third)
	if err := first.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the node that is configured as the first was has it", func() bool {
		return third.Place("mail") == fleet.Here
	})
}

// An app that is removed from a node's configuration while it is loose there goes to another node.
func TestLooseAppThatIsNotServed(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	var removed atomic.Bool
	first, _ := startServing(t, r, "gw1", "", func(string) bool { return !removed.Load() })
	enter(t, first, "mail", "here")
	second, _ := start(t, r, "gw2")
	acquaint(t, first, second)
	r.set(true)
	until(t, "the app is loose", func() bool { return first.Place("mail") == fleet.Loose })
	removed.Store(true)
	first.Review()
	r.set(false)
	until(t, "the second has the app", func() bool { return second.Place("mail") == fleet.Here })
}

// A node that is about to end takes no apps, so another one that cannot reach the store stays
// ready beside it.
func TestReadyBesideOneThatEnds(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	first, _ := start(t, r, "gw1")
	second, _ := start(t, r, "gw2")
	acquaint(t, first, second)
	first.Hush()
	r.set(true)
	until(t, "the second's lease is over", func() bool { return !second.Stats().Leased })
	until(t, "it is ready", second.Ready)
	if first.Ready() {
		t.Error("a node that is about to end is ready")
	}
}

// No packets are written for an app that comes to a node which is about to end, or that comes
// back to it after the store was away for a moment.
func TestStaysHushed(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	m, did := start(t, r, "gw1")
	enter(t, m, "mail", "here")
	m.Hush()
	r.set(true)
	until(t, "the app is loose", func() bool { return m.Place("mail") == fleet.Loose })
	r.mu.Lock()
	r.until["gw1"] = time.Now().Add(time.Hour) // the lease has not run out
	r.mu.Unlock()
	r.set(false)
	until(t, "the app is here", func() bool { return m.Place("mail") == fleet.Here })
	until(t, "it goes without packets again", func() bool { return did.saidBehind("hush", "go on") })
	did.forget()
	enter(t, m, "post", "here")
	if !did.saidBehind("hush", "take") {
		t.Errorf("did %v, want hush after take", did.done)
	}
}

// A connection whose app's owner has died waits until its node notices that the owner's lease is
// over, even if sessions wait no longer for a claim than a lease lasts.
func TestOwnerDies(t *testing.T) {
	t.Parallel()
	rules := fleet.NewRules(1200*time.Millisecond, 1200*time.Millisecond)
	r := newRegistry()
	r.nodes["gw1"] = store.FleetNode{Name: "gw1", Address: "127.0.0.1:1"}
	r.apps["mail"] = store.FleetApp{Name: "mail", Node: "gw1", Epoch: 1}
	r.until["gw1"] = time.Now().Add(time.Hour)
	m, _ := startBy(t, rules, r, "gw2", "", func(string) bool { return true })
	until(t, "the node knows of the other", func() bool { return len(m.Stats().Nodes) == 2 })
	r.mu.Lock()
	r.until["gw1"] = time.Now().Add(rules.Length + rules.Renew/2) // a renewal was on its way
	r.mu.Unlock()
	enter(t, m, "mail", "here")
}

// While the store cannot be reached, connections are carried to the last known owner, but not
// once that is about to end: it would cut them.
func TestOwnerThatEnds(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	first, _ := start(t, r, "gw1")
	enter(t, first, "mail", "here")
	second, _ := start(t, r, "gw2")
	acquaint(t, first, second)
	enter(t, second, "mail", "carried to gw1")
	r.set(true)
	until(t, "both are without a lease", func() bool { return !first.Stats().Leased && !second.Stats().Leased })
	enter(t, second, "mail", "carried to gw1")
	first.Hush()
	until(t, "the second serves the app itself", func() bool {
		g := newGuest()
		second.Enter("mail", "", g)
		return <-g.place == "here"
	})
}
