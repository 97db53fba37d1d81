package lease

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"apnsbridge/store"
)

const second = time.Second

// view returns a fleet of gw1 and gw2 with apps given as "name node epoch".
func view(apps ...string) store.FleetView {
	v := store.FleetView{Nodes: []store.FleetNode{{Name: "gw1"}, {Name: "gw2"}}}
	for _, text := range apps {
		var a store.FleetApp
		if n, _ := fmt.Sscan(text, &a.Name, &a.Node, &a.Epoch); n != 3 {
			panic(text)
		}
		v.Apps = append(v.Apps, a)
	}
	return v
}

func every(string) bool { return true }

// joined returns a lease of gw1 whose join was sent at 0: it may be trusted until 4.5 s.
func joined(apps ...string) *Lease {
	l := New("gw1", NewRules(6*second))
	l.Sent(0)
	l.Renewed(0, view(apps...))
	return l
}

func checkOwns(t *testing.T, l *Lease, now Instant, want uint64) {
	t.Helper()
	if got, ok := l.Owns("mail", now); got != want || ok != (want > 0) {
		t.Errorf("at %v: got epoch %d, %v, want %d", now, got, ok, want)
	}
}

func checkClaims(t *testing.T, l *Lease, now Instant, want ...string) {
	t.Helper()
	if got := l.Claims(now, every); !slices.Equal(got, want) {
		t.Errorf("at %v: got claims %v, want %v", now, got, want)
	}
}

func TestDeadline(t *testing.T) {
	l := New("gw1", NewRules(6*second))
	if l.Joined() || l.Due() != 0 || l.Deadline() != 0 {
		t.Errorf("a new lease is %+v", l)
	}
	l.Sent(10 * second)
	if l.Due() != 11500*time.Millisecond {
		t.Errorf("got the next renewal at %v, want 1.5 s later", l.Due())
	}
	l.Renewed(10*second, view())
	l.Claimed("mail", 1)
	checkOwns(t, l, 14499*time.Millisecond, 1)
	checkOwns(t, l, 14500*time.Millisecond, 0)
	if epoch, ok := l.Holds("mail"); epoch != 1 || !ok {
		t.Errorf("past the deadline: got epoch %d, %v, want it still held", epoch, ok)
	}
	l.Renewed(13*second, view("mail gw1 1"))
	l.Renewed(12*second, view("mail gw1 1")) // overtaken by a later answer
	checkOwns(t, l, 17400*time.Millisecond, 1)
	l.Over(15 * second)
	checkOwns(t, l, 15*second, 0)
	if l.Joined() || l.Due() != 15*second {
		t.Errorf("a lease that is over: joined %v, due at %v", l.Joined(), l.Due())
	}
}

// With a new lease, a node goes on with the apps that nobody has claimed meanwhile.
func TestAfterTheLease(t *testing.T) {
	for after, want := range map[string]uint64{"mail gw1 3": 3, "mail gw1 4": 0, "mail gw2 4": 0} {
		l := joined("mail gw1 3")
		l.Claimed("mail", 3)
		l.Over(20 * second)
		lost := l.Renewed(21*second, view(after))
		checkOwns(t, l, 22*second, want)
		if (len(lost) == 1) != (want == 0) {
			t.Errorf("%s: got lost %v", after, lost)
		}
	}
}

// A view shows the moment in which the store made it, which may be before a claim.
func TestViewOlderThanClaim(t *testing.T) {
	l := joined("mail gw0 3")
	l.Claimed("mail", 4)
	if lost := l.Renewed(1, view("mail gw0 3")); lost != nil {
		t.Errorf("an old view makes the node lose %v, want nothing", lost)
	}
	checkOwns(t, l, second, 4)
	checkClaims(t, l, second)
}

func TestClaimAnsweredLate(t *testing.T) {
	for _, tt := range []struct {
		view string
		held bool
	}{
		{"mail gw2 4", true}, // an old view
		{"mail gw1 5", true},
		{"mail gw2 5", false}, // given away since
		{"mail gw1 6", false},
		{"mail gw2 6", false},
	} {
		l := joined(tt.view)
		if got := l.Claimed("mail", 5); got != tt.held {
			t.Errorf("epoch 5 where the store says %q: held %v, want %v", tt.view, got, tt.held)
		}
	}
}

func TestGive(t *testing.T) {
	l := joined()
	if _, ok := l.Give("mail"); ok {
		t.Error("the node gave an app that it does not have")
	}
	l.Claimed("mail", 2)
	if epoch, ok := l.Give("mail"); epoch != 2 || !ok {
		t.Errorf("got epoch %d, %v, want 2", epoch, ok)
	}
	checkOwns(t, l, second, 0)
	if l.Claimed("mail", 2) {
		t.Error("a duplicate answer brings back an app that is being given")
	}
	if epoch, ok := l.Give("mail"); epoch != 2 || !ok { // again, after an error
		t.Errorf("once more: got epoch %d, %v, want 2", epoch, ok)
	}
	l.Given("mail", 2, "gw2")
	l.Renewed(second, view("mail gw1 2")) // made before the app was given
	checkClaims(t, l, second)
	if n, ok := l.Owner("mail"); n.Name != "gw2" || !ok {
		t.Errorf("got owner %v, %v, want gw2, to which it was given", n, ok)
	}
	l.Renewed(2*second, view("mail gw2 2"))
	checkClaims(t, l, 2*second)
	alone := view("mail gw2 2")
	alone.Nodes = alone.Nodes[:1]
	l.Renewed(3*second, alone) // gw2 has died without claiming it
	checkClaims(t, l, 3*second, "mail")
	if !l.Claimed("mail", 3) {
		t.Error("the node cannot have again what it once gave")
	}
}

func TestClaims(t *testing.T) {
	l := joined("ad gw1 1", "mail gw2 1", "news gw1 4")
	checkClaims(t, l, second, "ad", "news")
	checkClaims(t, l, 5*second)
	l.Claimed("ad", 2)
	checkClaims(t, l, second, "news")
	if got := l.Claims(second, func(app string) bool { return app != "news" }); got != nil {
		t.Errorf("got claims %v, want none: the node is not configured with them", got)
	}
	if n, ok := l.Owner("mail"); n.Name != "gw2" || !ok {
		t.Errorf("got owner %v, %v, want gw2", n, ok)
	}
	if _, ok := l.Owner("none"); ok {
		t.Error("got an owner of an app that nobody has claimed")
	}
}

// The apps of a dead node are spread evenly over the others, each app to exactly one.
func TestHeirs(t *testing.T) {
	const apps = 300
	var v store.FleetView
	for i := range 3 {
		v.Nodes = append(v.Nodes, store.FleetNode{Name: fmt.Sprint("gw", i+1)})
	}
	for i := range apps {
		v.Apps = append(v.Apps, store.FleetApp{Name: fmt.Sprintf("app%03d", i), Node: "gw0", Epoch: 1})
	}
	taken := make(map[string]string)
	for _, n := range v.Nodes {
		l := New(n.Name, NewRules(6*second))
		l.Renewed(0, v)
		claims := l.Claims(0, every)
		if len(claims) < apps/5 {
			t.Errorf("%s claims %d of %d", n.Name, len(claims), apps)
		}
		for _, app := range claims {
			if by := taken[app]; by != "" {
				t.Errorf("%s and %s claim %s", by, n.Name, app)
			}
			taken[app] = n.Name
		}
	}
	if len(taken) != apps {
		t.Errorf("%d of %d are claimed", len(taken), apps)
	}
}

// If its heir does not claim an app within the length of a lease, because it is not configured
// with it, the other nodes do.
func TestHeirThatDoesNotClaim(t *testing.T) {
	others := 0
	for i := range 20 {
		l, v := New("gw1", NewRules(6*second)), view(fmt.Sprintf("app%d gw0 1", i))
		l.Renewed(0, v)
		if len(l.Claims(second, every)) > 0 {
			continue
		}
		others++
		l.Renewed(5*second, v)
		checkClaims(t, l, 5999*time.Millisecond)
		checkClaims(t, l, 6*second, fmt.Sprint("app", i))
		l.Renewed(6*second, view(fmt.Sprintf("app%d gw2 2", i)))
		checkClaims(t, l, 7*second)
		l.Renewed(10*second, v)
		checkClaims(t, l, 12*second)
	}
	if others == 0 {
		t.Error("gw1 is heir to all apps, want some for other nodes")
	}
}

func TestStrays(t *testing.T) {
	l := joined("ad gw1 1", "mail gw2 1", "news gw1 4")
	none := func(string) bool { return false }
	if got := l.Strays(second, none); len(got) != 2 || got[0].Name != "ad" || got[1].Epoch != 4 {
		t.Errorf("got %v, want the apps that are given to gw1", got)
	}
	if l.Claimed("news", 5); len(l.Strays(second, none)) != 1 || l.Strays(5*second, none) != nil ||
		l.Strays(second, every) != nil {
		t.Error("got apps that it has claimed, that are no longer known, or that it is configured with")
	}
}

// After the store was away, a node leaves apps to the nodes that had them for the length of a
// lease: they come back as it does. An app that was given away is free for anyone.
func TestSparesWhoComesBack(t *testing.T) {
	alone := store.FleetView{Nodes: []store.FleetNode{{Name: "gw1"}}, Apps: []store.FleetApp{
		{Name: "given", Epoch: 1}, {Name: "mail", Node: "gw2", Epoch: 3}, {Name: "ours", Node: "gw1", Epoch: 1}}}
	for name, asks := range map[string]func(l *Lease){
		"a renewal failed":      func(l *Lease) { l.Sent(8 * second); l.Sent(10 * second) },
		"the lease has run out": func(l *Lease) { l.Sent(8 * second); l.Over(9 * second); l.Sent(10 * second) },
	} {
		t.Run(name, func(t *testing.T) {
			l := joined()
			asks(l)
			l.Renewed(10*second, alone)
			l.orphans["given"], l.orphans["mail"] = 0, 0 // long ago: whoever the heir is
			checkClaims(t, l, 10*second, "given", "ours")
			for i := range Instant(4) {
				l.Sent((11 + i) * second)
				l.Renewed((11+i)*second, alone)
			}
			if !l.Spared("mail", 15999*time.Millisecond) || l.Spared("given", 11*second) || l.Spared("ours", 11*second) {
				t.Error("the wrong apps are spared: want mail before 16 s, and neither given nor ours")
			}
			checkClaims(t, l, 16*second, "given", "mail", "ours")
		})
	}
	l := joined()
	l.Sent(2 * second)
	l.Renewed(2*second, alone)
	l.orphans["mail"] = -6 * second
	checkClaims(t, l, 2*second, "given", "mail", "ours") // the store was never away
}
