package lane

import (
	"testing"
	"time"
)

// refuses gives an APNs that answers c about the devices below k, and accepts all others.
func refuses(k int, c Class) func(*note) Class {
	return func(n *note) Class {
		if n.device < k {
			return c
		}
		return Accepted
	}
}

// C2: one device on 429, or always 5xx, with 2,000 behind it, holds up no other.
func TestCaseOneDeviceHoldsUpNoOther(t *testing.T) {
	for name, c := range map[string]Class{"429": Throttled, "5xx": Failed} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, false, func(t *testing.T, m Mode) {
				g := newRig(m, refuses(1, c))
				for i := range 2000 {
					g.arrive(&note{seq: i})
				}
				for i := range 200 {
					g.arrive(&note{device: 1 + i})
				}
				others := g.until(10*time.Minute, func() bool { return g.accepted == 200 })
				within(t, "all others", others, 5*time.Second)
			})
		})
	}
}

// C14: a list begins with 1,500 dead tokens, and 380 good ones follow.
func TestCaseOldListFirst(t *testing.T) {
	inEachMode(t, false, func(t *testing.T, m Mode) {
		g := newRig(m, refuses(1500, BadToken))
		for i := range 1880 {
			g.arrive(&note{device: i})
		}
		within(t, "the good ones", g.until(6*time.Hour, func() bool { return g.accepted == 380 }), 5*time.Minute)
		g.until(6*time.Hour, func() bool { return g.bad == 1500 })
		if g.bad != 1500 {
			t.Errorf("%d of 1,500 dead tokens are told", g.bad)
		}
	})
}

// C13, C3: a wrong topic stops no other, and goes at once when it is corrected.
func TestCaseTopic(t *testing.T) {
	inEachMode(t, false, func(t *testing.T, m Mode) {
		wrong := true
		g := newRig(m, func(n *note) Class {
			if n.topic == 1 && wrong {
				return TopicRefused
			}
			return Accepted
		})
		for i := range 300 {
			g.arrive(&note{topic: i % 2, device: i})
		}
		within(t, "the other topic", g.until(time.Minute, func() bool { return g.accepted == 150 }), 2*time.Second)
		g.wait(100 * time.Second)
		if r := g.line(1).Door.Reason; r != Topic {
			t.Errorf("the door of the topic is %v", r)
		}
		wrong = false
		g.lane.TopicRenewed(g.line(1), g.now)
		within(t, "the corrected", g.until(10*time.Minute, func() bool { return g.accepted == 300 }), 5*time.Second)
	})
}

// Many devices wait: each costs an entry, and fresh ones go.
func TestCaseManyWait(t *testing.T) {
	g := newRig(Overflow, refuses(1500, Throttled))
	for i := range 3000 {
		g.arrive(&note{device: i % 1500, seq: i / 1500})
	}
	for i := range 100 {
		g.arrive(&note{device: 5000 + i})
	}
	within(t, "the fresh", g.until(10*time.Minute, func() bool { return g.accepted == 100 }), time.Minute)
	if k := g.inMemory(); k > 300 {
		t.Errorf("%d notifications are in memory", k)
	}
}

// There is an outage of ten minutes while a list waits: few are asked about while it lasts, and
// soon after it all have gone.
func TestCaseOutage(t *testing.T) {
	for name, c := range map[string]Class{"5xx": Failed, "no connection": NoConnection,
		"credential refused": CredentialRefused} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, m Mode) {
				down := true
				g := newRig(m, func(*note) Class {
					if down {
						return c
					}
					return Accepted
				})
				for i := range 3000 {
					g.arrive(&note{device: i})
				}
				g.wait(10 * time.Minute)
				asked := g.asked()
				if down = false; asked > 350 { // 200 as it begins, 85 until it is known to be one, and 4 at a time
					t.Errorf("%d were asked about in the outage", asked)
				}
				within(t, "all", g.until(10*time.Minute, func() bool { return g.accepted == 3000 }), 150*time.Second)
			})
		})
	}
}

// C16: connections are cut every second. Few are given up: those whose connection was cut twice.
func TestCaseFlap(t *testing.T) {
	t.Parallel()
	inEachMode(t, false, func(t *testing.T, m Mode) {
		var g *rig
		g = newRig(m, func(*note) Class {
			if g.now.Mono%(1037*time.Millisecond) < tick {
				return NoAnswer
			}
			return Accepted
		})
		g.streams = 500
		for i := range 20000 {
			g.arrive(&note{device: i})
		}
		all := g.until(time.Hour, func() bool { return g.accepted+g.givenUp == 20000 })
		within(t, "all", all, 5*time.Minute)
		if t.Logf("%d given up", g.givenUp); g.givenUp > 200 {
			t.Errorf("%d of 20,000 are given up", g.givenUp)
		}
	})
}

// Nothing can ever be written: what comes in an outage goes from memory.
func TestCaseBrokenDisk(t *testing.T) {
	down := true
	g := newRig(Overflow, func(*note) Class {
		if down {
			return Failed
		}
		return Accepted
	})
	g.disk.broken = true
	for i := range 500 {
		g.arrive(&note{device: i % 300, seq: i / 300})
	}
	g.wait(time.Minute)
	down = false
	within(t, "all", g.until(10*time.Minute, func() bool { return g.accepted == 500 }), 130*time.Second)
}

// What has expired at a door does not take probes from others.
func TestCaseExpiredAtTheDoor(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		down := true
		g := newRig(m, func(*note) Class {
			if down {
				return Failed
			}
			return Accepted
		})
		g.room = 1000 * sizeOf
		for i := range 5 {
			g.arrive(&note{device: i})
		}
		g.wait(5 * time.Second)
		for i := range 400 {
			n := &note{device: 10 + i}
			n.Expires = g.now.Wall + 20
			g.arrive(n)
		}
		g.arrive(&note{device: 1000})
		g.wait(time.Minute)
		down = false
		last := g.until(time.Hour, func() bool { return g.at[key{1000, 0}] > 0 })
		within(t, "the one that has not expired", last, 130*time.Second)
		if g.until(time.Hour, func() bool { return g.ended[Expired] == 400 }); g.ended[Expired] != 400 {
			t.Errorf("%d expired", g.ended[Expired])
		}
	})
}

// All tokens belong to the other environment, until that is corrected: 49 are believed to be bad.
func TestCaseMisconfigured(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		wrong := true
		g := newRig(m, func(*note) Class {
			if wrong {
				return BadToken
			}
			return Accepted
		})
		g.room = 1000 * sizeOf
		for i := range 400 {
			g.arrive(&note{device: i})
		}
		g.wait(5 * time.Minute)
		wrong = false
		g.lane.Renewed(g.now)
		all := g.until(10*time.Minute, func() bool { return g.accepted+g.bad == 400 })
		within(t, "all", all, 5*time.Second)
		if g.bad != GuardTokens-1 || g.accepted != 400-g.bad {
			t.Errorf("%d are believed to be bad, %d accepted", g.bad, g.accepted)
		}
	})
}

// Many devices wake all the time, and there is room for few: the log still has its turn.
func TestCaseWakersTakeTurns(t *testing.T) {
	g := newRig(Overflow, refuses(1500, Throttled))
	g.lane.Ahead = 4 * sizeOf
	for i := range 1500 {
		g.arrive(&note{device: i})
	}
	g.wait(10 * time.Second)
	for i := range 100 {
		g.arrive(&note{device: 5000 + i})
		g.arrive(&note{device: 5000 + i, seq: 1})
	}
	within(t, "the fresh", g.until(10*time.Minute, func() bool { return g.accepted == 200 }), time.Minute)
}
