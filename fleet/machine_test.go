package fleet

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

// rig is the machine of gw1.
type rig struct {
	*Machine
	t       *testing.T
	reaches bool
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t}
	r.Machine = New("gw1", NewRules(6*second, 8*second), Config{
		Serves: func(app string) bool { return app != "unknown" }, Reaches: func(string) bool { return r.reaches },
	})
	return r
}

// wants checks the actions that the machine wants done.
func (r *rig) wants(want ...string) {
	r.t.Helper()
	var got []string
	for _, a := range r.Actions() {
		text := fmt.Sprint(a.Verb, " ", a.App)
		if a.Epoch != 0 {
			text += fmt.Sprint(" ", a.Epoch)
		}
		if a.Node != "" {
			text += " " + a.Node
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("got %q, want %q", got, want)
	}
}

// session checks where a session that comes now belongs.
func (r *rig) session(now Instant, want Place, node string) {
	r.t.Helper()
	if p, to := r.Session("mail", "", now); p != want || to != node {
		r.t.Errorf("at %v: got a session %v at %q, want %v at %q", now, p, to, want, node)
	}
}

// here returns a machine that owns mail in epoch 1 and may trust its lease until 4.5 s.
func here(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.Renewed(0, view(), 0)
	r.session(0, Claiming, "")
	r.wants("claim mail")
	r.Claimed("mail", 1, 0)
	r.wants("take mail 1")
	r.Taken("mail", 1, true, 0)
	r.wants("open mail")
	r.session(0, Here, "")
	return r
}

func TestHere(t *testing.T) {
	r := here(t)
	if !r.May("mail", 4*second) || r.May("mail", 4500*time.Millisecond) || r.May("news", 0) {
		t.Error("packets may be written before the deadline only, and only for apps that are here")
	}
	r.Tick(4500 * time.Millisecond)
	r.wants("loosen mail")
	r.session(5*second, Loose, "")
	r.Renewed(6*second, view("mail gw1 1"), 6*second)
	r.wants("go on mail")
	r.session(6*second, Here, "")
	r.Renewed(7*second, view("mail gw2 2"), 7*second)
	r.wants("end mail")
	r.session(7*second, Elsewhere, "gw2")
}

// If another node had the app while it was loose here, its sessions here end.
func TestLooseAndLost(t *testing.T) {
	for after, want := range map[string]string{"mail gw2 2": "end mail", "mail gw1 1": "go on mail",
		"mail gw2 1": "end mail"} {
		r := here(t)
		r.Over(10 * second)
		r.wants("loosen mail")
		r.Renewed(11*second, view(after), 11*second)
		r.wants(want)
	}
}

// If the store cannot be reached, sessions wait eight seconds and then go on without a lease.
func TestLooseFromTheStart(t *testing.T) {
	r := newRig(t)
	r.session(0, Claiming, "")
	r.Tick(7999 * time.Millisecond)
	r.wants()
	r.Tick(8 * second)
	r.wants("loosen mail")
	if r.May("mail", 8*second) || !r.Ready(false, 8*second) || r.Ready(true, 8*second) {
		t.Error("a loose node must write no packets, and must be ready only if no other has a lease")
	}
	r.Renewed(9*second, view(), 9*second)
	r.wants("claim mail")
	r.Claimed("mail", 1, 9*second)
	r.wants("take mail 1")
	r.Taken("mail", 1, true, 9*second)
	r.wants("go on mail")
	r = newRig(t)
	r.session(0, Claiming, "")
	r.Tick(8 * second)
	r.wants("loosen mail")
	r.Renewed(9*second, view("mail gw2 1"), 9*second)
	r.wants("end mail")
}

// A node that cannot reach the store carries sessions to the last known owner, if that answers.
func TestCarryWithoutALease(t *testing.T) {
	r := newRig(t)
	r.Renewed(0, view("mail gw2 1"), 0)
	r.session(second, Elsewhere, "gw2")
	r.session(5*second, Claiming, "")
	r.Tick(13 * second)
	r.wants("loosen mail")
	r = newRig(t)
	r.Renewed(0, view("mail gw2 1"), 0)
	r.reaches = true
	r.session(5*second, Elsewhere, "gw2")
}

func TestClaimTaken(t *testing.T) {
	r := newRig(t)
	r.Renewed(0, view(), 0)
	r.session(0, Claiming, "")
	r.wants("claim mail")
	r.Refused("mail", second) // who has it is not known yet
	r.wants()
	r.session(second, Claiming, "")
	r.Tick(1500 * time.Millisecond)
	r.wants("claim mail")
	r.Renewed(second, view("mail gw2 1"), 1600*time.Millisecond)
	r.wants()
	r.Refused("mail", 1700*time.Millisecond)
	r.wants("carry mail gw2")
	r.session(2*second, Elsewhere, "gw2")
}

// Apps that fall to the node are claimed, or declined if it is not configured with them.
func TestHeirs(t *testing.T) {
	v := view("mail gw1 4", "unknown gw1 2")
	r := newRig(t)
	r.Renewed(0, v, 0)
	r.wants("decline unknown 2", "claim mail")
	v.Nodes = v.Nodes[:1]
	v.Apps = append(v.Apps, store.FleetApp{Name: "zoo", Node: "gw2", Epoch: 1})
	r.Renewed(0, v, 0)
	r.wants("claim zoo")
	r.Declined("unknown", 2, false, 0)
	r.Renewed(second, v, second)
	r.wants("decline unknown 2")
	r.Declined("unknown", 2, true, second)
	r.Renewed(2*second, view("unknown gw2 2"), 2*second)
	r.wants()
}

// If the node is no longer configured with an app that it has claimed, it declines the app, and
// the sessions that wait for it look elsewhere.
func TestDecline(t *testing.T) {
	r := newRig(t)
	r.Renewed(0, view(), 0)
	r.Session("unknown", "", 0)
	r.wants("claim unknown")
	r.Claimed("unknown", 1, 0)
	r.wants("decline unknown 1")
	r.Declined("unknown", 1, true, 0)
	r.wants("carry unknown")
	r.Renewed(second, view("unknown gw2 2"), second)
	if p, to := r.Session("unknown", "", second); p != Elsewhere || to != "gw2" {
		t.Errorf("got a session %v at %q", p, to)
	}
}

func TestGive(t *testing.T) {
	r := here(t)
	if r.Give("news", "gw2") {
		t.Error("the machine gave an app that it does not have")
	}
	if !r.Give("mail", "gw2") || r.Give("mail", "gw2") {
		t.Error("the machine did not give the app, or gave it twice")
	}
	r.wants("release mail 1 gw2")
	r.session(second, Giving, "")
	if r.May("mail", second) {
		t.Error("packets may be written for an app that is being given")
	}
	r.Given("mail", 2*second)
	r.wants("carry mail gw2")
	r.Renewed(2*second, view("mail gw2 1"), 2*second)
	r.wants()
	r.session(2*second, Elsewhere, "gw2")
}

// A session that comes after its app was given is carried to the next owner, though the store
// has not been asked since.
func TestGivenToTheNext(t *testing.T) {
	r := here(t)
	r.Renewed(0, view("mail gw1 1"), 0)
	r.Give("mail", "gw2")
	r.wants("release mail 1 gw2")
	r.Given("mail", second)
	r.wants("carry mail gw2")
	r.session(second, Elsewhere, "gw2")
	r.wants()
}

// If the last known owner carries a session here, it has given the app to this node, which
// claims it though no view shows that yet. If the claim is refused, the known owner still has it.
func TestCarriedByTheOwner(t *testing.T) {
	r := newRig(t)
	r.Renewed(0, view("mail gw2 1"), 0)
	if p, to := r.Session("mail", "gw2", 0); p != Claiming || to != "" {
		t.Errorf("got a session %v at %q", p, to)
	}
	r.wants("claim mail")
	r.Refused("mail", 0)
	r.wants("carry mail gw2")
	if p, to := r.Session("mail", "gw2", 0); p != Elsewhere || to != "gw2" {
		t.Errorf("once more: got a session %v at %q", p, to)
	}
	r.Session("mail", "gw2", second)
	r.wants("claim mail")
	r.Claimed("mail", 2, second)
	r.wants("take mail 2")
}

// A node that is about to end claims nothing: an app that no other node has is loose at once.
func TestLeave(t *testing.T) {
	r := here(t)
	r.Renewed(0, view("mail gw1 1", "news gw2 1"), 0)
	r.Leave(0)
	r.wants()
	if p, to := r.Session("news", "", second); p != Elsewhere || to != "gw2" {
		t.Errorf("got a session %v at %q", p, to)
	}
	if p, _ := r.Session("zoo", "", second); p != Claiming {
		t.Errorf("got a session %v", p)
	}
	r.wants("loosen zoo")
	if r.Left(second); r.May("mail", second) {
		t.Error("packets may be written without a lease")
	}
	r.wants("loosen mail")
	r.Renewed(0, view("mail gw1 1"), second) // the answer was on its way
	r.wants()
	if r.May("mail", second) || r.Lease().Joined() {
		t.Error("the lease is back")
	}
}

// A late answer to a claim is still used; if the app has moved on, what was taken is dropped.
func TestLateAnswers(t *testing.T) {
	r := newRig(t)
	r.Renewed(0, view(), 0)
	r.session(0, Claiming, "")
	r.wants("claim mail")
	r.Claimed("mail", 1, 0)
	r.wants("take mail 1")
	r.Renewed(4*second, view("mail gw2 2"), 4*second)
	r.Taken("mail", 1, true, 4*second)
	r.wants("drop mail", "carry mail gw2")
	r = newRig(t)
	r.Renewed(0, view("mail gw2 1"), 0)
	r.Claimed("mail", 2, 0) // the answer to an old claim
	r.wants("take mail 2")
	r.Taken("mail", 2, false, 0)
	r.wants()
	r.Tick(second)
	r.wants("take mail 2")
}
