package lane

import (
	"testing"
	"time"
)

// Which doors 5xx close: that of the line, and that of the lane if it is an outage.
func TestDoorsOf5xx(t *testing.T) {
	type step struct {
		topic, many int // answers, each of another device
		class       Class
		wait        time.Duration // behind them
	}
	const later = 3 * time.Second
	for name, c := range map[string]struct {
		steps      []step
		lane, line Reason // line: of topic 1
	}{
		"four":                              {[]step{{1, 4, Failed, 0}}, Open, Open},
		"five":                              {[]step{{1, 5, Failed, 0}}, Open, Unreachable},
		"a clump amid good ones":            {[]step{{1, 1, Accepted, 0}, {1, 63, Failed, 0}}, Open, Open},
		"a long one":                        {[]step{{1, 1, Accepted, 0}, {1, 64, Failed, 0}}, Open, Unreachable},
		"a clump while another topic goes":  {[]step{{0, 1, Accepted, 0}, {1, 5, Failed, 0}}, Open, Unreachable},
		"a clump behind good ones":          {[]step{{1, 1, Accepted, later}, {1, 5, Failed, 0}}, Open, Unreachable},
		"two topics":                        {[]step{{0, 5, Failed, later}, {1, 5, Failed, 0}}, Unreachable, Unreachable},
		"two, and a good one between":       {[]step{{0, 5, Failed, later}, {2, 1, Accepted, later}, {1, 5, Failed, 0}}, Open, Unreachable},
		"two, and a good one just before":   {[]step{{2, 1, Accepted, 0}, {0, 5, Failed, 0}, {1, 5, Failed, 0}}, Open, Unreachable},
		"two, and good ones long before":    {[]step{{2, 9, Accepted, later}, {0, 5, Failed, later}, {1, 5, Failed, 0}}, Unreachable, Unreachable},
		"lost answers":                      {[]step{{0, 2, NoAnswer, 0}, {1, 3, NoAnswer, 0}}, Unreachable, Open},
		"a topic that is refused":           {[]step{{1, 5, TopicRefused, later}, {1, 9, Failed, 0}}, Open, Topic},
		"it is refused, and so is its host": {[]step{{0, 5, Failed, 0}, {1, 5, TopicRefused, later}, {1, 9, Failed, 0}}, Open, Topic},
	} {
		t.Run(name, func(t *testing.T) {
			class := Accepted
			g, device := newRig(Off, func(*note) Class { return class }), 0
			for _, s := range c.steps {
				class = s.class
				for range s.many {
					n := &note{topic: s.topic, device: device}
					g.arrive(n)
					if device++; g.line(s.topic).Door.Reason != Open { // as a probe
						d, _ := g.line(s.topic).find(n.Token)
						g.lane.admit(d.line, d)
					}
				}
				g.wait(3 * tick)
				class = Accepted
				g.pass(s.wait)
			}
			if g.lane.Door.Reason != c.lane || g.line(1).Door.Reason != c.line {
				t.Errorf("the lane's door is %v, the line's %v", g.lane.Door.Reason, g.line(1).Door.Reason)
			}
		})
	}
}

// closedBy5xx is a rig in which five of topic 1 have failed.
func closedBy5xx(t *testing.T, m Mode) *rig {
	t.Helper()
	g := newRig(m, (&failing{topics: 1}).answer)
	for i := range 5 {
		g.arrive(&note{topic: 1, device: i})
	}
	if g.wait(10 * time.Second); g.line(1).Door.Reason != Unreachable || g.line(1).atDoor.size != 5 {
		t.Fatalf("the door is %v, %d wait", g.line(1).Door.Reason, g.line(1).atDoor.size)
	}
	return g
}

// The notifications of a topic that fails wait for the topic, and not each on its own account,
// although another topic is served.
func TestOfATopicThatFailsNoneWaitsForItself(t *testing.T) {
	g := closedBy5xx(t, Off)
	for i := range 1000 {
		g.arrive(&note{topic: 0, device: 100 + i%10, seq: i / 10})
		g.step()
	}
	n := &note{topic: 1, device: 50}
	g.arrive(n)
	d, _ := g.line(1).find(n.Token)
	g.lane.admit(g.line(1), d)
	for !g.lane.Wake || n.Flags.Failures == 0 {
		g.step()
	}
	if why := g.lane.Why(&n.Item, g.now); why != doorWords[Unreachable] || len(g.lane.waiting) > 0 {
		t.Errorf("it waits %s, %d for themselves", why, len(g.lane.waiting))
	}
	if g.lane.ForItself(&n.Item, Failed) {
		t.Error("it is said to fail for itself")
	}
}

// A lost answer while a topic's door is closed takes back the credit of that topic, and of no other.
func TestLostAnswerOfATopicThatFails(t *testing.T) {
	g := closedBy5xx(t, Overflow)
	failing, other := g.line(1), g.line(0)
	failing.Door.credit, other.Door.credit = 4, 4
	g.lane.draws = []draw{{lines: []*Line{failing}, n: 1}, {lines: []*Line{other}, n: 1}}
	if g.lane.lose(failing); failing.Door.credit != 0 || other.Door.credit != 4 || !failing.Door.shaky(g.now.Mono) {
		t.Errorf("%d and %d are left", failing.Door.credit, other.Door.credit)
	}
	if len(g.lane.draws) != 1 || g.lane.draws[0].lines[0] != other {
		t.Errorf("%d draws", len(g.lane.draws))
	}
	if g.lane.Door.shaky(g.now.Mono) {
		t.Error("the lane's door is shaky")
	}
}

// A door is not trusted after answers were lost until it has been open for a while, and not if it
// closes again meanwhile.
func TestDoorIsShaky(t *testing.T) {
	for name, c := range map[string]struct {
		open, again time.Duration // for so long; closed again after so long, 0: not
		want        bool
	}{
		"a moment":             {time.Second, 0, true},
		"a while":              {settled, 0, false},
		"closed again at once": {10 * time.Second, time.Second, true},
		"closed again later":   {10 * time.Second, settled, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor()
			d.shut(Unreachable, 0)
			d.lose()
			d.open(0)
			if c.again > 0 {
				d.shut(Unreachable, c.again)
			}
			if d.shaky(c.open) != c.want {
				t.Errorf("it is %v", !c.want)
			}
		})
	}
}

// While the lane's door is closed, the next probe is of a topic that does not fail, even if it is
// still on its way to disk and those of a failing topic are at hand.
func TestProbeOfATopicThatDoesNotFail(t *testing.T) {
	g := closedBy5xx(t, Overflow)
	g.lane.Door.shut(Unreachable, g.now.Mono)
	g.disk.broken = true // so that it is in memory
	g.arrive(&note{topic: 1, device: 70})
	g.run()
	g.disk.broken = false
	g.pass(30 * time.Second)
	asked := g.asked()
	g.arrive(&note{topic: 0, device: 80})
	g.until(time.Minute, func() bool { return g.asked() > asked })
	if k := g.order[asked]; k.device != 80 {
		t.Errorf("device %d is asked about", k.device)
	}
}

// Of several topics all of which have failed, each is asked again.
func TestAskAgainOfEachTopic(t *testing.T) {
	g := newRig(Off, (&failing{all: true}).answer)
	for i := range 30 {
		g.arrive(&note{topic: i % 3, device: i})
	}
	g.wait(10 * time.Minute)
	if g.lane.Door.Reason != Unreachable {
		t.Fatalf("the lane's door is %v", g.lane.Door.Reason)
	}
	for range 10 {
		asked := g.asked()
		g.until(time.Hour, func() bool { return g.asked() > asked })
		of := map[int]bool{}
		for _, k := range g.order[asked:] {
			of[k.device%3] = true
		}
		if len(of) != 3 {
			t.Fatalf("of %d topics", len(of))
		}
	}
}

// What stands behind a device that waits on its own account is not given up for want of memory while
// its topic waits for the end of an outage.
func TestNothingGivesWayInAnOutage(t *testing.T) {
	down := false
	g := newRig(Off, func(n *note) Class {
		switch {
		case n.device == 0:
			return Throttled
		case down:
			return Failed
		}
		return Accepted
	})
	for i := range 20 {
		g.arrive(&note{device: 0, seq: i})
	}
	g.wait(8 * time.Second)
	down = true
	for i := range 300 {
		g.arrive(&note{device: 1 + i})
	}
	if g.wait(20 * time.Second); g.ended[Crowded] > 0 || !g.Full() || len(g.lane.waiting) == 0 {
		t.Errorf("%d are given up", g.ended[Crowded])
	}
}

// A 5xx says nothing of the topic: it is asked about again soon, and once the first good answer
// has come, each 5xx lets another go in its place.
func TestTopicPutRightAmid5xx(t *testing.T) {
	for name, c := range map[string]struct {
		share  int  // of a hundred fail
		always bool // and not only at the first attempt
	}{"one in twenty": {5, true}, "a third": {33, true}, "five in six, once each": {83, false}} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, mode Mode) {
				g := newRig(mode, nil)
				refused, failed := true, make(map[key]bool)
				g.apns = func(n *note) Class {
					switch {
					case refused:
						return TopicRefused
					case n.device%100 < c.share && (c.always || !failed[n.key()]):
						failed[n.key()] = true
						return Failed
					}
					return Accepted
				}
				for i := range 150 {
					g.arrive(&note{device: i})
				}
				g.wait(20 * time.Second)
				refused = false
				g.lane.Renewed(g.now)
				took := g.until(time.Hour, func() bool { return g.accepted > 50 })
				within(t, "more than fifty are accepted", took, time.Minute)
			})
		})
	}
}

// Behind 5xx at a topic's door, answers are lost: what is asked about there may be delivered twice,
// or be given up, so that only probes go, also behind a good answer.
func TestTopicLosesAnswersBehind5xx(t *testing.T) {
	for name, before := range map[string]Class{"5xx": Failed, "a good answer, and 5xx": Accepted} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, mode Mode) {
				class := TopicRefused
				g := newRig(mode, func(*note) Class { return class })
				for i := range 150 {
					g.arrive(&note{device: i})
				}
				g.wait(5 * time.Second)
				class = before
				g.until(time.Minute, func() bool { return g.accepted > 0 })
				class = Failed
				g.wait(time.Minute)
				class = NoAnswer
				asked := g.asked()
				g.wait(time.Hour)
				if n := g.asked() - asked; n > 70 || g.givenUp > 0 {
					t.Errorf("%d were asked about in an hour, %d given up", n, g.givenUp)
				}
			})
		})
	}
}

// What is refused again is asked about as seldom as before, whatever came in between.
func TestTopicRefusedBehind5xx(t *testing.T) {
	class := TopicRefused
	g := newRig(Overflow, func(*note) Class { return class })
	for i := range 20 {
		g.arrive(&note{device: i})
	}
	g.wait(time.Minute)
	class = Failed
	g.wait(2 * time.Minute)
	class = TopicRefused
	g.wait(2 * time.Minute)
	door := &g.line(0).Door
	before := door.Probes
	if g.wait(10 * time.Minute); door.Reason != Topic || door.Probes-before > 10 {
		t.Errorf("%d probes in ten minutes at a door that is %v", door.Probes-before, door.Reason)
	}
}
