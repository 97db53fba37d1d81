package bridge

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// ordeal is an app in front of an APNs that is in trouble. Hours pass in a moment: the clock
// goes from one thing that is due to the next, so that everything that would happen in that
// time does, and stands still while it happens, however long this machine takes.
type ordeal struct {
	*Bridge
	t       *testing.T
	sim     *apnssim.Simulator
	app     App
	clock   *movableClock
	session *Session
	peer    *recorder
	pushed  int
	told    string // the latest problem
}

// startOrdeal has the limits of a gateway, and not those of other tests.
func startOrdeal(t *testing.T, mode SpoolMode, scenario apnssim.Scenario) *ordeal {
	t.Helper()
	o := &ordeal{t: t, sim: startSim(t, scenario), clock: stopped()}
	o.app = mailApp(t, o.sim)
	o.app.OnBadToken = Continue
	c := spooled(openStore(t, t.TempDir(), boltstore.Options{Now: o.clock.now}), mode, o.app)
	c.Now = o.clock.now
	var err error
	if o.Bridge, err = newBridge(c); err != nil { // quiet tells it the time
		t.Fatal(err)
	}
	o.run()
	t.Cleanup(o.Close)
	o.session, o.peer = open(t, o.Bridge, Origin{})
	return o
}

// push pushes notifications, each to a device of its own, whose provider is told nothing. The
// first hexadecimal digits of their tokens are the sixteen, by turns.
func (o *ordeal) push(count int) {
	o.t.Helper()
	for range count {
		n := note(deviceToken([]byte{byte(o.pushed)<<4 | 1}, o.pushed), 0, hello)
		n.HasIdentifier = false
		o.give(n)
		o.pushed++
	}
}

// give pushes n, and lets time pass until there is room for another.
func (o *ordeal) give(n *binproto.Notification) {
	o.t.Helper()
	if o.session.Push(n) {
		return
	}
	if !o.pass(time.Hour, func() bool { return len(o.peer.room) > 0 }) {
		o.t.Fatal("no room came")
	}
	<-o.peer.room
}

func (o *ordeal) stats() AppStats { return o.Stats().Apps["mail"] }

// closed reports whether a door is closed where something has come.
func (o *ordeal) closed() bool {
	return slices.ContainsFunc(o.apps["mail"].lanes[:], func(l *appLane) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.core.Lines()) > 0 && l.core.Troubled()
	})
}

// quiet reports whether nothing happens until the clock moves, and when something is due: nothing
// is being read, written or told to the feedback list, and what the lanes have handed to upstreams
// is there and waits for a connection.
func (o *ordeal) quiet() (due time.Time, quiet bool) {
	o.tick()
	now := o.clock.now()
	due = now.Add(24 * time.Hour)
	out := 0
	for _, l := range o.apps["mail"].lanes {
		l.mu.Lock()
		out += l.core.Out()
		busy := l.running && (l.core.Wake || l.core.AtDisk())
		next := l.core.Next() // l.next may not be known yet
		l.mu.Unlock()
		at := now.Add(time.Duration(next) - o.Bridge.clock.At(now).Mono)
		if busy || l.running && !at.After(now) {
			return due, false
		}
		if l.running && at.Before(due) {
			due = at
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, u := range o.outlets {
		st, at := u.Stats(), u.Nudge(now)
		waits := at.After(now)
		if st.InFlight+st.Dialling+st.Leaving > 0 || st.Queued > 0 && !waits || !at.IsZero() && !waits {
			return due, false
		}
		out -= st.Queued
		if waits && at.Before(due) {
			due = at
		}
	}
	return due, out == 0 && o.feedback.Len() == 0
}

// settle waits until nothing happens any more, and gives when something is due. Goroutines that
// are between two of the places that quiet knows have a few moments more.
func (o *ordeal) settle() (due time.Time) {
	o.t.Helper()
	const sure = 3 // looks in a row
	deadline := time.Now().Add(patience)
	for still := 0; still < sure; time.Sleep(200 * time.Microsecond) {
		runtime.Gosched()
		var quiet bool
		if due, quiet = o.quiet(); quiet {
			still++
		} else {
			still = 0
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("it never comes to rest: %+v", o.stats())
		}
	}
	return due
}

// pass lets time pass until done holds, but no longer than d. It reports whether done holds.
func (o *ordeal) pass(d time.Duration, done func() bool) bool {
	o.t.Helper()
	end := o.clock.now().Add(d)
	for {
		due := o.settle()
		if told := o.Problems()["mail"]; told != "" {
			o.told = told
		}
		now := o.clock.now()
		switch {
		case done != nil && done():
			return true
		case !now.Before(end):
			return false
		case due.After(end):
			due = end
		}
		o.clock.forward(max(due.Sub(now), 20*time.Millisecond)) // what is due soon after is as good as at once
	}
}
