package lane

import (
	"testing"
	"time"
)

// C17 as it happens: 41 are refused, and another 41 after each of three restarts. The guard has soon
// seen fifty, and no further refusal is believed.
func TestGuardCaseRestartsSpendNoMore(t *testing.T) {
	wrong := true
	g := newRig(Always, func(*note) Class {
		if wrong {
			return BadToken
		}
		return Accepted
	})
	for restart := range 4 {
		for i := range 41 {
			g.arrive(&note{device: 41*restart + i})
		}
		g.wait(10 * time.Second)
		record := g.line(0).Record()
		g.start(Always, 100*sizeOf, 1000)
		if err := g.lane.Restore(g.line(0), record, g.now); err != nil {
			t.Fatal(err)
		}
	}
	if g.bad != GuardTokens-1 || g.line(0).Door.Reason != Suspect {
		t.Errorf("%d are believed to be bad, the door is %v", g.bad, g.line(0).Door.Reason)
	}
	wrong = false
	g.lane.TopicRenewed(g.line(0), g.now)
	within(t, "the others", g.until(10*time.Minute, func() bool { return g.accepted == 4*41-49 }), 5*time.Second)
}

// On the operator's word the tokens are bad: the door opens, all are asked about, and they may go to
// feedback.
func TestGuardCaseBelieve(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		g := newRig(m, func(*note) Class { return BadToken })
		for i := range 150 {
			g.arrive(&note{device: i})
		}
		if g.wait(10 * time.Second); g.line(0).Door.Reason != Suspect || g.bad != 49 {
			t.Fatalf("%v, %d are bad", g.line(0).Door.Reason, g.bad)
		}
		if ok, _ := g.line(0).Recordable(token(0), g.now.Time); ok {
			t.Error("a token goes to feedback during the hold")
		}
		g.lane.Believe(g.now)
		within(t, "all", g.until(time.Minute, func() bool { return g.bad == 150 }), 2*time.Second)
		if ok, _ := g.line(0).Recordable(token(0), g.now.Time); !ok {
			t.Error("a token does not go to feedback")
		}
		if n := len(g.rulings); !g.rulings[n-1].Hold {
			t.Errorf("%+v", g.rulings[n-1])
		}
	})
}

// Believe opens no door that is closed for another reason.
func TestGuardCaseBelieveOpensNoOtherDoor(t *testing.T) {
	g := newRig(Overflow, func(*note) Class { return TopicRefused })
	for i := range 10 {
		g.arrive(&note{device: i})
	}
	g.wait(time.Second)
	if g.lane.Believe(g.now); g.line(0).Door.Reason != Topic {
		t.Errorf("the door is %v", g.line(0).Door.Reason)
	}
}

// A push that is accepted under the present configuration is told, so that it is remembered.
func TestGuardCaseAcceptanceIsTold(t *testing.T) {
	g := newRig(Off, refuses(1, BadToken))
	g.arrive(&note{device: 1})
	g.wait(3 * tick)
	g.arrive(&note{device: 2})
	g.wait(3 * tick)
	if len(g.rulings) != 1 || !g.rulings[0].Save {
		t.Errorf("%+v", g.rulings)
	}
}
