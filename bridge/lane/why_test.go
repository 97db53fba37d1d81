package lane

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// A trace tells for each notification why it waits.
func TestWhy(t *testing.T) {
	throttled := func(n *note) Class {
		if n.device == 1 {
			return Throttled
		}
		return Accepted
	}
	away := func(*note) Class { return NoConnection }
	for name, c := range map[string]struct {
		mode    Mode
		apns    func(*note) Class
		devices []int // of what arrives, one after the other; the last one is asked about
		want    string
	}{
		"answered":               {Off, throttled, []int{2}, ""},
		"told to wait":           {Off, throttled, []int{1}, "for its next attempt, in "},
		"behind it":              {Off, throttled, []int{1, 1}, "behind another notification to the same device"},
		"another device":         {Off, throttled, []int{1, 2}, ""},
		"at the door":            {Off, away, []int{1, 2}, "until APNs can be reached and serves again"},
		"behind one at the door": {Off, away, []int{1, 2, 2}, "behind another notification to the same device"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(c.mode, c.apns)
			var last *note
			for i, d := range c.devices {
				last = &note{device: d, seq: i}
				g.arrive(last)
				g.wait(3 * tick)
			}
			got := g.lane.Why(&last.Item, g.now)
			left, forItself := strings.CutPrefix(got, "for its next attempt, in ")
			if forItself {
				if wait, err := time.ParseDuration(left); err != nil || wait <= 0 || wait > time.Hour {
					t.Errorf("it waits %s", left)
				}
				got = "for its next attempt, in "
			}
			if got != c.want {
				t.Errorf("it waits %q", got)
			}
		})
	}
}

// The oldest of those that wait in memory is found wherever it waits.
func TestOldest(t *testing.T) {
	taken := func(it *Item) int64 { return int64(it.Owner.(*note).seq) }
	for name, apns := range map[string]func(*note) Class{
		"each for itself": func(*note) Class { return Throttled },
		"at the door":     func(*note) Class { return NoConnection },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Off, apns)
			if got := g.lane.Oldest(taken); got != 0 {
				t.Errorf("of nothing it is %d", got)
			}
			for i := range 9 {
				g.arrive(&note{device: i % 3, seq: 7 + i})
			}
			g.wait(3 * tick)
			if got := g.lane.Oldest(taken); got != 7 {
				t.Errorf("it is %d, want 7", got)
			}
		})
	}
}

// What APNs says of a connection closes the doors that it is about, without a notification that failed.
func TestTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		tell       func(*Lane, *Line, Now)
		lane, line Reason
	}{
		"credential refused":    {func(l *Lane, _ *Line, now Now) { l.Trouble(CredentialRefused, now) }, Refused, Open},
		"no connection":         {func(l *Lane, _ *Line, now Now) { l.Trouble(NoConnection, now) }, Unreachable, Open},
		"one that failed":       {func(l *Lane, _ *Line, now Now) { l.Trouble(Failed, now) }, Open, Open},
		"nothing to do with it": {func(l *Lane, _ *Line, now Now) { l.Trouble(Gone, now) }, Open, Open},
		"topic refused":         {func(l *Lane, n *Line, now Now) { l.LineTrouble(n, now) }, Open, Topic},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Off, func(*note) Class { return Accepted })
			c.tell(g.lane, g.line(1), g.now)
			if g.lane.Door.Reason != c.lane || g.line(1).Door.Reason != c.line || g.line(0).Door.Reason != Open {
				t.Errorf("the lane's door is %v, the line's %v, its neighbour's %v",
					g.lane.Door.Reason, g.line(1).Door.Reason, g.line(0).Door.Reason)
			}
		})
	}
}

// A line goes when nothing of it waits, its door remembers nothing and no session is about to use it.
func TestRemoveSpent(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*rig, *Line)
		gone bool
	}{
		"idle":            {func(*rig, *Line) {}, true},
		"held":            {func(_ *rig, n *Line) { n.Hold() }, false},
		"held and let go": {func(_ *rig, n *Line) { n.Hold(); n.Release() }, true},
		"refused":         {func(g *rig, n *Line) { g.lane.LineTrouble(n, g.now) }, false},
		"waiting": {func(g *rig, n *Line) {
			g.apns = func(*note) Class { return Throttled }
			g.arrive(&note{topic: 1})
			g.wait(tick)
		}, false},
		"answered": {func(g *rig, n *Line) { g.arrive(&note{topic: 1}); g.wait(3 * tick) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Off, func(*note) Class { return Accepted })
			c.do(g, g.line(1))
			g.lane.RemoveSpent()
			if gone := g.lane.Line("1") == nil; gone != c.gone {
				t.Errorf("it is gone: %v", gone)
			}
		})
	}
}

// An item is slow if it stays without an answer for a second while others are answered.
func TestSlow(t *testing.T) {
	g := newRig(Off, func(*note) Class { return Accepted })
	silent := &note{device: 1}
	g.arrive(silent)
	g.write() // it is asked, and never answered
	g.flight = nil
	for i := range 30 {
		if g.lane.Slow(&silent.Item, g.now) && i < 20 {
			t.Fatalf("it is slow after %d answers", i)
		}
		g.arrive(&note{device: 2, seq: i})
		g.step()
	}
	if !g.lane.Slow(&silent.Item, g.now) {
		t.Error("it is not slow after a second and a half")
	}
	alone := newRig(Off, func(*note) Class { return Accepted })
	n := &note{device: 1}
	alone.arrive(n)
	alone.write()
	alone.flight = nil
	alone.pass(time.Minute)
	if alone.lane.Slow(&n.Item, alone.now) {
		t.Error("it is slow though APNs answers nothing at all")
	}
}

// When more is sent than APNs takes, all wait for their turn for seconds, and none is slow except
// one that gets no answer.
func TestSlowIsNotTheQueue(t *testing.T) {
	g := newRig(Off, func(*note) Class { return Accepted })
	g.room, g.streams = 10_000*sizeOf, 10
	var sent []*note
	arrive := func(count int) {
		for range count {
			n := &note{device: len(sent)}
			g.arrive(n)
			sent = append(sent, n)
		}
	}
	arrive(60 * g.streams) // three seconds of work
	silent := sent[len(sent)/2]
	for range 100 {
		g.step()
		g.flight = slices.DeleteFunc(g.flight, func(n *note) bool { return n == silent })
		arrive(g.streams)
		for _, n := range sent {
			if n != silent && g.lane.Slow(&n.Item, g.now) {
				t.Fatalf("after %v %d is slow, sent %v ago", g.now.Mono-time.Second, n.device, g.now.Mono-n.Item.device.sent)
			}
		}
	}
	if g.accepted < 900 || !g.lane.Slow(&silent.Item, g.now) {
		t.Errorf("%d are accepted; the one without an answer is slow: %v", g.accepted, g.lane.Slow(&silent.Item, g.now))
	}
}
