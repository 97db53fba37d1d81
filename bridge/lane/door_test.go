package lane

import (
	"testing"
	"time"
)

// newDoor is a door whose waits have no random part, so that each takes half of its length.
func newDoor() *Door {
	return &Door{delays: &Delays{First: 2 * time.Second, Most: 4 * time.Minute, Held: time.Minute,
		Random: func() float64 { return 0 }}}
}

func seconds(s int) time.Duration { return time.Duration(s) * time.Second }

// failTimes lets n pushes fail that were sent at second s.
func (d *Door) failTimes(n int, why Reason, s int) {
	for range n {
		d.failed(why, inARow, seconds(s), seconds(s))
	}
}

// failTwoAfterThreeAnd lets three pushes fail, one be answered with c, and two more fail.
func (d *Door) failTwoAfterThreeAnd(c Class) {
	d.failTimes(3, Unreachable, 1)
	d.answered(c, 1, 1)
	d.failTimes(2, Unreachable, 1)
}

// steps are what happens to a door, in order.
type steps []func(*Door)

func TestDoorCloses(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*Door)
		want Reason
	}{
		"four failures":               {func(d *Door) { d.failTimes(4, Unreachable, 1) }, Open},
		"five failures":               {func(d *Door) { d.failTimes(5, Unreachable, 1) }, Unreachable},
		"one is enough":               {func(d *Door) { d.failed(Refused, atOnce, 1, 1) }, Refused},
		"five of a topic":             {func(d *Door) { d.failTimes(5, Topic, 1) }, Topic},
		"five, and one good between":  {func(d *Door) { d.failTwoAfterThreeAnd(Accepted) }, Open},
		"five, and no look between":   {func(d *Door) { d.failTwoAfterThreeAnd(Unlooked) }, Unreachable},
		"five from before it opened":  {func(d *Door) { d.open(seconds(2)); d.failTimes(5, Unreachable, 1) }, Open},
		"five sent as it opened":      {func(d *Door) { d.open(seconds(1)); d.failTimes(5, Unreachable, 1) }, Unreachable},
		"another reason while closed": {func(d *Door) { d.failTimes(5, Unreachable, 1); d.failTimes(1, Refused, 2) }, Refused},
		"another reason at Suspect":   {func(d *Door) { d.shut(Suspect, 1); d.failTimes(9, Unreachable, 2) }, Suspect},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor()
			if c.do(d); d.Reason != c.want {
				t.Errorf("it is %v", d.Reason)
			}
		})
	}
}

// Which answers show that the reason is gone.
func TestDoorProves(t *testing.T) {
	for why, last := range map[Reason][]Class{
		Suspect: {Accepted},
		Topic:   {Accepted, BadToken, Gone, Throttled},
		Refused: {Accepted, BadToken, Gone, Throttled, TopicRefused},
		Unreachable: {Accepted, BadToken, Gone, Throttled, Malformed, Amended, Strange, TopicRefused,
			CredentialRefused},
	} {
		t.Run(why.String(), func(t *testing.T) {
			for c := Accepted; c <= Renewed; c++ {
				d := newDoor()
				d.shut(why, 1)
				d.answered(c, 1, 2)
				want := 0
				for _, x := range last {
					if x == c {
						want = eased
					}
				}
				if d.credit != want {
					t.Errorf("class %d gives credit %d", c, d.credit)
				}
			}
		})
	}
}

// Each good answer lets two more go; sixty-four in a row open the door; a failure takes all back.
func TestDoorOpens(t *testing.T) {
	good := func(n, s int) func(*Door) {
		return func(d *Door) {
			for range n {
				d.answered(Accepted, seconds(s), seconds(s))
			}
		}
	}
	bad := func(n int, why Reason, s int) func(*Door) { return func(d *Door) { d.failTimes(n, why, s) } }
	for name, c := range map[string]struct {
		why    Reason
		do     steps
		open   bool
		credit int
	}{
		"one good":                        {Unreachable, steps{good(1, 2)}, false, 2},
		"one sent before it closed":       {Unreachable, steps{good(1, 0)}, false, 0},
		"sixty-three":                     {Unreachable, steps{good(63, 2)}, false, 126},
		"sixty-four":                      {Unreachable, steps{good(64, 2)}, true, 0},
		"sixty-four, a failure between":   {Unreachable, steps{good(60, 2), bad(1, Unreachable, 3), good(4, 4)}, false, 128},
		"a failure sent before":           {Unreachable, steps{good(2, 2), bad(1, Unreachable, 0)}, false, 4},
		"a failure":                       {Unreachable, steps{good(2, 2), bad(1, Unreachable, 3)}, false, 4},
		"no more failures than good ones": {Unreachable, steps{good(2, 2), bad(5, Unreachable, 3), good(63, 4)}, false, 130},
		"refused for itself":              {Refused, steps{good(2, 2), bad(4, Refused, 3)}, false, 4},
		"refused five times":              {Refused, steps{good(2, 2), bad(5, Refused, 3)}, false, 0},
		"refused with a good one":         {Refused, steps{good(2, 2), bad(4, Refused, 3), good(1, 3), bad(4, Refused, 3)}, false, 6},
		"refused twice five times":        {Refused, steps{good(1, 2), bad(5, Refused, 3), good(1, 4), bad(4, Refused, 4)}, false, 2},
		"unreachable at refused":          {Refused, steps{good(2, 2), bad(1, Unreachable, 3)}, false, 0},
		"refused at unreachable":          {Unreachable, steps{good(2, 2), bad(1, Refused, 3)}, false, 0},
		"refused, and none was good":      {Refused, steps{bad(4, Refused, 3), good(1, 3), bad(4, Refused, 3)}, false, 2},
		"a topic":                         {Topic, steps{good(2, 2), bad(1, Topic, 3)}, false, 0},
		"a renewal forgets what is good":  {Topic, steps{good(60, 2), func(d *Door) { d.renewed(seconds(3)) }, good(4, 4)}, false, 8},
		"what was sent before a renewal":  {Topic, steps{func(d *Door) { d.renewed(seconds(3)) }, good(64, 2)}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor()
			d.shut(c.why, seconds(1))
			for _, do := range c.do {
				do(d)
			}
			if (d.Reason == Open) != c.open || d.credit != c.credit {
				t.Errorf("it is %v, credit %d", d.Reason, d.credit)
			}
		})
	}
}

// When probes go, and how many.
func TestDoorProbes(t *testing.T) {
	held := []int{60, 120, 120, 120}
	for name, c := range map[string]struct {
		why   Reason
		waits []int // seconds between probes
		many  []int
	}{
		"unreachable":        {Unreachable, []int{1, 2, 4, 8, 16, 32, 64, 120, 120}, []int{1, 1, 1, 1, 1, 1, 1, 1, 1}},
		"credential refused": {Refused, []int{1, 60, 120, 120}, []int{1, 1, 1, 1}},
		"topic refused":      {Topic, held, []int{1, 1, 1, 1}},
		"suspect": {Suspect, []int{60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 120, 240, 480, 960, 960, 960},
			[]int{1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64}},
	} {
		t.Run(name, func(t *testing.T) {
			d, now, sum := newDoor(), seconds(5), uint64(0)
			d.shut(c.why, now)
			for i, wait := range c.waits {
				if d.due(now+seconds(wait)-1) != 0 {
					t.Fatalf("probe %d goes early", i)
				}
				now += seconds(wait)
				if k := d.due(now); k != c.many[i] {
					t.Fatalf("probe %d: %d go after %d s", i, k, wait)
				}
				sum += uint64(c.many[i])
			}
			if d.Probes != sum {
				t.Errorf("%d probes are told of, and not %d", d.Probes, sum)
			}
			d.renewed(now)
			if d.due(now) != 1 || d.Probes != sum+1 {
				t.Error("renewed, none goes at once")
			}
			d.open(now)
			if d.due(now+time.Hour) != 0 || d.Probes != sum+1 {
				t.Error("one goes though it is open")
			}
			if d.shut(c.why, now); d.Probes != sum+1 || d.Since != now {
				t.Errorf("%+v", d)
			}
		})
	}
}

// After a good answer the next probe is due as soon as after the first failure.
func TestDoorProbesAfterAGoodAnswer(t *testing.T) {
	d := newDoor()
	d.shut(Unreachable, 0)
	for s := 1; s < 1000; s++ {
		d.due(seconds(s))
	}
	if d.answered(Accepted, seconds(1000), seconds(1000)); d.Probe != seconds(1001) {
		t.Errorf("it is due after %v", d.Probe-seconds(1000))
	}
	if d.failed(Refused, inARow, seconds(1001), seconds(1001)); d.Probe != seconds(1002) {
		t.Errorf("for another reason it is due after %v", d.Probe-seconds(1001))
	}
}

// An arrival makes a probe due within First if the last probe had been asked about before.
func TestDoorFresh(t *testing.T) {
	for name, c := range map[string]struct {
		stale bool
		probe int
		want  int
	}{
		"the last was fresh": {false, 100, 100},
		"it was not":         {true, 100, 12},
		"one is due already": {true, 11, 11},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor()
			d.shut(Refused, 0)
			d.stale, d.Probe = c.stale, seconds(c.probe)
			if d.fresh(seconds(10)); d.Probe != seconds(c.want) {
				t.Errorf("it is due at %v", d.Probe)
			}
			d.Probe = seconds(100)
			if d.fresh(seconds(10)); d.Probe != seconds(100) {
				t.Error("a second arrival makes it due again")
			}
		})
	}
}

// A wait doubles, is bounded, and at most half of it is random.
func TestDelays(t *testing.T) {
	d := Delays{First: time.Second, Most: 2 * time.Minute}
	for n, want := range map[int]time.Duration{0: time.Second, 3: 8 * time.Second, 6: 64 * time.Second, 7: 2 * time.Minute,
		62: 2 * time.Minute, 63: 2 * time.Minute, 64: 2 * time.Minute, 1000: 2 * time.Minute} {
		for x, part := range map[float64]float64{0: 0.5, 0.5: 0.75, 0.999999: 1} {
			d.Random = func() float64 { return x }
			if got := d.after(n); got < time.Duration(float64(want)*part)-time.Millisecond || got > want {
				t.Errorf("after %d failures: %v of %v", n, got, want)
			}
		}
	}
}

// After "try now" a probe of each door goes at once, and nothing is forgotten.
func TestDoorCaseTry(t *testing.T) {
	for name, c := range map[string]Class{"5xx": Failed, "credential": CredentialRefused, "topic": TopicRefused} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, m Mode) {
				down := true
				g := newRig(m, func(*note) Class {
					if down {
						return c
					}
					return Accepted
				})
				for i := range 100 {
					g.arrive(&note{device: i})
				}
				g.wait(10 * time.Minute)
				probe := g.lane.Door.Probe
				if g.lane.Door.Reason == Open {
					probe = g.line(0).Door.Probe
				}
				if probe < g.now.Mono+5*time.Second {
					g.until(time.Minute, func() bool { return g.now.Mono > probe+time.Second })
				}
				down = false
				g.lane.Try(g.now)
				within(t, "the first", g.until(time.Minute, func() bool { return g.accepted > 0 }), 4*tick)
			})
		})
	}
}

// What waits on its own account, for up to a day, is tried too: on the operator's word, and when
// credential or endpoint have changed.
func TestDoorCaseTryThoseThatWait(t *testing.T) {
	for name, c := range map[string]Class{"429": Throttled, "strange words": Strange, "5xx": Failed} {
		for how, hurry := range map[string]func(*Lane, Now){"try": (*Lane).Try, "renewed": (*Lane).Renewed} {
			t.Run(name+", "+how, func(t *testing.T) {
				inEachMode(t, true, func(t *testing.T, m Mode) {
					down := true
					g := newRig(m, func(n *note) Class {
						if down && n.device < 50 {
							return c
						}
						return Accepted
					})
					for i := range 60 {
						g.arrive(&note{device: i})
						g.arrive(&note{device: i, seq: 1})
					}
					g.wait(time.Minute)
					down = false
					left := 120 - g.givenUp
					if g.accepted == left {
						t.Fatal("none waits")
					}
					hurry(g.lane, g.now)
					within(t, "all", g.until(time.Hour, func() bool { return g.accepted == left }), 5*time.Second)
				})
			})
		}
	}
}
