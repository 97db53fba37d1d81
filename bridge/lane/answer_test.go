package lane

import (
	"testing"
	"time"
)

// One refusal of the credential closes the lane's door, unless a push was accepted since it opened.
func TestDoorOfARefusedCredential(t *testing.T) {
	for name, c := range map[string]struct {
		good    bool
		refused int
		want    Reason
	}{
		"the first":            {false, 1, Refused},
		"one among good ones":  {true, 1, Open},
		"four among good ones": {true, 4, Open},
		"five among good ones": {true, 5, Refused},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Off, func(n *note) Class {
				if n.device < 10 {
					return CredentialRefused
				}
				return Accepted
			})
			if c.good {
				g.arrive(&note{device: 10})
				g.wait(3 * tick)
			}
			for i := range c.refused {
				g.arrive(&note{device: i})
			}
			if g.wait(2 * tick); g.lane.Door.Reason != c.want {
				t.Errorf("the door is %v", g.lane.Door.Reason)
			}
		})
	}
}

// How often, and after which waits, APNs is asked about a notification that it never takes.
func TestAskedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		class   Class
		asked   int // until it is given up
		atLeast time.Duration
	}{
		"throttled":     {Throttled, 5, 156 * time.Second},
		"strange words": {Strange, 10, 23 * time.Hour},
		"no answer":     {NoAnswer, 2, time.Second / 2},
	} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, m Mode) {
				g := newRig(m, func(*note) Class { return c.class })
				g.arrive(&note{})
				g.until(100*time.Hour, func() bool { return g.givenUp == 1 })
				if took := g.at[key{}] - time.Second; g.asked() != c.asked || took < c.atLeast {
					t.Errorf("asked %d times in %v", g.asked(), took)
				}
			})
		})
	}
}

// A request that APNs has not processed is repeated at once, the second time in a row after a wait.
func TestUnlookedIsAskedAgainAtOnce(t *testing.T) {
	g := newRig(Off, nil)
	n := &note{}
	g.arrive(n)
	d, _ := g.line(0).find(n.Token)
	for i, c := range []struct {
		class Class
		want  state
	}{{Unlooked, out}, {Unlooked, waits}, {Unlooked, waits}, {Renewed, out}, {Unlooked, out}, {Unlooked, waits}} {
		if d.state == waits {
			g.pass(d.due - g.now.Mono)
			g.lane.Tend(g.now)
		}
		if g.lane.Answered(&n.Item, c.class, false, g.now); d.state != c.want || g.lane.Door.Reason != Open {
			t.Errorf("after %d answers: %d, the door is %v", i+1, d.state, g.lane.Door.Reason)
		}
	}
}

// NoConnection does not count as an attempt: the attempt never began.
func TestNoConnectionIsNoAttempt(t *testing.T) {
	g := newRig(Off, func(*note) Class { return NoConnection })
	n := &note{}
	g.arrive(n)
	g.wait(2 * tick)
	if n.Flags.Attempts != 0 || g.lane.Door.Reason != Unreachable {
		t.Errorf("%+v, the door is %v", n.Flags, g.lane.Door.Reason)
	}
}

// Answers that come together share one reading of the clock, but have an order all the same:
// what goes because of one answer is dated after the door that the answer before it changed.
func TestAnswersThatComeTogetherHaveAnOrder(t *testing.T) {
	g := newRig(Off, nil)
	for i := range inARow + 1 {
		g.arrive(&note{device: i})
	}
	came := g.now
	came.Mono += time.Second
	g.now.Mono += time.Minute // the lane was told of a later time meanwhile
	g.arrive(&note{device: inARow + 1})
	last := g.now.Mono
	for _, n := range g.queue[:inARow] {
		now := g.lane.Ordered(came)
		if now.Mono <= last || now.Mono > last+time.Microsecond || now.Time != came.Time {
			t.Fatalf("%v behind %v", now.Mono, last)
		}
		last = now.Mono
		g.lane.Answered(&n.Item, Failed, false, now)
	}
	if g.line(0).Door.Reason != Unreachable || g.line(0).Door.Since != last {
		t.Errorf("%+v, want it closed by the last one, at %v", g.line(0).Door, last)
	}
}

// Each wait of a device is longer than the one before, and those for unknown reasons add up to a day.
func TestWaitsGrow(t *testing.T) {
	var sum time.Duration
	for _, waits := range [][]time.Duration{throttled[:], strange[:]} {
		sum = 0
		for i, wait := range waits {
			if sum += wait; wait < time.Second || i > 0 && wait <= waits[i-1] {
				t.Errorf("wait %d of %v", i, waits)
			}
		}
	}
	if sum < 23*time.Hour || sum > 24*time.Hour {
		t.Errorf("%v in all", sum)
	}
}
