package lane

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// guarded is a guard of three tokens, at a second of its own.
type guarded struct {
	Guard
	now Now
}

func newGuarded() *guarded {
	return &guarded{Guard: Guard{tokens: 3, under: "production"}, now: nowAt(100)}
}

func nowAt(second int64) Now {
	return Now{Mono: time.Duration(second) * time.Second, Wall: 1_700_000_000 + second, Time: time.Unix(1_700_000_000+second, 0).UTC()}
}

func (g *guarded) bad(tokens ...string) (r Ruling) {
	for _, t := range tokens {
		r = g.refuse([]byte(t), g.now.Mono, g.now)
	}
	return r
}

func TestGuardHolds(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*guarded)
		tokens []string
		want   Ruling // but for Withdraw
	}{
		"two different":      {nil, []string{"a", "b"}, Ruling{Save: true}},
		"two, one again":     {nil, []string{"a", "b", "a"}, Ruling{}},
		"three different":    {nil, []string{"a", "b", "c"}, Ruling{Hold: true, Alarm: true, Save: true}},
		"an acceptance":      {func(g *guarded) { g.accept(g.now.Mono, g.now) }, []string{"a", "b"}, Ruling{}},
		"an alarm":           {func(g *guarded) { g.accept(g.now.Mono, g.now) }, []string{"a", "b", "c"}, Ruling{Alarm: true}},
		"one alarm":          {func(g *guarded) { g.accept(g.now.Mono, g.now) }, []string{"a", "b", "c", "d"}, Ruling{}},
		"it is off":          {func(g *guarded) { g.tokens = 0 }, []string{"a", "b", "c"}, Ruling{}},
		"they are believed":  {func(g *guarded) { g.believe() }, []string{"a", "b", "c"}, Ruling{}},
		"sent before":        {func(g *guarded) { g.renewed(nowAt(101)) }, []string{"a", "b", "c"}, Ruling{}},
		"accepted before":    {func(g *guarded) { g.accept(g.now.Mono, g.now); g.renewed(g.now) }, []string{"a", "b", "c"}, Ruling{Hold: true, Alarm: true, Save: true}},
		"refused before":     {func(g *guarded) { g.bad("a", "b"); g.renewed(g.now) }, []string{"c", "d"}, Ruling{Save: true}},
		"refused and one OK": {func(g *guarded) { g.bad("a", "b"); g.accept(g.now.Mono, g.now) }, []string{"c", "d"}, Ruling{}},
		"another name, late": {func(g *guarded) { g.renewed(nowAt(101)); g.accept(g.now.Mono, g.now); g.now = nowAt(102) }, []string{"a", "b", "c"}, Ruling{Hold: true, Alarm: true, Save: true}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded()
			if c.before != nil {
				c.before(g)
			}
			if r := g.bad(c.tokens...); r.Hold != c.want.Hold || r.Alarm != c.want.Alarm || r.Save != c.want.Save || len(r.Withdraw) > 0 {
				t.Errorf("%+v", r)
			}
			if len(g.refusals) > g.tokens {
				t.Errorf("%d refusals are remembered", len(g.refusals))
			}
		})
	}
}

// What went to feedback before a hold is withdrawn as it begins, with the date it has there.
func TestGuardWithdraws(t *testing.T) {
	g := newGuarded()
	g.bad("a", "b")
	early, late := nowAt(90).Time, nowAt(95).Time
	for _, at := range []time.Time{early, late, early} {
		if ok, save := g.recordable([]byte("b"), at); !ok || save != (at == late || g.refusals[1].recorded == early) {
			t.Errorf("%v: recordable %v, save %v", at, ok, save)
		}
	}
	if ok, save := g.recordable([]byte("x"), early); !ok || save {
		t.Errorf("of an unknown token: %v, %v", ok, save)
	}
	r := g.bad("c")
	if len(r.Withdraw) != 1 || string(r.Withdraw[0].Token) != "b" || r.Withdraw[0].Recorded != late {
		t.Errorf("%+v", r.Withdraw)
	}
	if ok, _ := g.recordable([]byte("a"), g.now.Time); ok {
		t.Error("a verdict from before the hold is recordable")
	}
	if ok, _ := g.recordable([]byte("a"), nowAt(101).Time); !ok {
		t.Error("a verdict from after the hold is not recordable")
	}
	if g.renewed(nowAt(102)); !g.doubted.Equal(g.now.Time) {
		t.Error("what was refused before the hold is believed after a reload")
	}
	if g.believe(); !g.doubted.IsZero() {
		t.Error("on the operator's word it is not believed")
	}
}

// Record changes with the first acceptance, and then once an hour.
func TestGuardSavesAcceptances(t *testing.T) {
	g := newGuarded()
	for second, want := range map[int64]bool{100: true, 3699: false, 3700: true} {
		g := newGuarded()
		if second > 100 {
			g.accept(g.now.Mono, g.now)
		}
		if now := nowAt(second); g.accept(now.Mono, now) != want {
			t.Errorf("at %d: save is not %v", second, want)
		}
	}
	if g.renewed(nowAt(101)); g.accept(g.now.Mono, g.now) || g.proven {
		t.Error("an acceptance from before a reload counts")
	}
}

// What is remembered over a restart, and for how long and under what name it is of use.
func TestGuardOverARestart(t *testing.T) {
	const week = 7 * 24 * 3600
	for name, c := range map[string]struct {
		before  func(*guarded)
		suspect bool
		under   string
		after   int64 // seconds
		hold    bool  // at the third token
		held    bool  // at once
	}{
		"nothing":                              {func(*guarded) {}, false, "production", 1, true, false},
		"an acceptance":                        {func(g *guarded) { g.accept(g.now.Mono, g.now) }, false, "production", 1, false, false},
		"an acceptance, six days later":        {func(g *guarded) { g.accept(g.now.Mono, g.now) }, false, "production", week - 1, false, false},
		"an acceptance, seven days later":      {func(g *guarded) { g.accept(g.now.Mono, g.now) }, false, "production", week, true, false},
		"an acceptance, the clock set back":    {func(g *guarded) { g.accept(g.now.Mono, g.now) }, false, "production", -week, false, false},
		"C18: an acceptance of another name":   {func(g *guarded) { g.accept(g.now.Mono, g.now) }, false, "sandbox", 1, true, false},
		"C17: a hold":                          {func(g *guarded) { g.bad("a", "b", "c") }, true, "production", 1, true, true},
		"a hold under another name":            {func(g *guarded) { g.bad("a", "b", "c") }, true, "sandbox", 1, true, false},
		"C17: two of three refusals":           {func(g *guarded) { g.bad("x", "y") }, false, "production", 1, true, false},
		"the operator's word":                  {func(g *guarded) { g.believe() }, true, "production", 1, false, false},
		"the operator's word on another topic": {func(g *guarded) { g.believe() }, true, "sandbox", 1, true, false},
		"an acceptance that a reload ended":    {func(g *guarded) { g.accept(g.now.Mono, g.now); g.renewed(g.now) }, false, "production", 1, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			old := newGuarded()
			c.before(old)
			g := newGuarded()
			g.under, g.now = c.under, nowAt(100+c.after)
			refused := len(old.refusals)
			record := old.record(c.suspect)
			if held, err := g.restore(record, g.now); held != c.held || err != nil {
				t.Fatalf("held %v, %v", held, err)
			}
			if c.under == old.under && len(g.refusals) != refused {
				t.Errorf("%d refusals, and not %d", len(g.refusals), refused)
			}
			if c.after > 0 && c.under == old.under && (g.proven || !old.proven) && !bytes.Equal(g.record(c.suspect), record) {
				t.Error("recorded again it is not the same")
			}
			if r := g.bad([]string{"p", "q", "r"}[refused:]...); r.Hold != c.hold {
				t.Errorf("%+v", r)
			}
		})
	}
}

// An acceptance that is remembered from a clock that was ahead does not count for longer.
func TestGuardOfAClockThatWasAhead(t *testing.T) {
	old := newGuarded()
	ahead := nowAt(365 * 24 * 3600)
	old.accept(ahead.Mono, ahead)
	g := newGuarded()
	if g.restore(old.record(false), g.now); g.accepted != g.now.Wall || !g.proven {
		t.Errorf("accepted at %d", g.accepted)
	}
}

func TestGuardRecordKeepsDates(t *testing.T) {
	old := newGuarded()
	old.bad("a", "b", "c")
	old.refusals = []refusal{{"one", time.Time{}}, {"two", nowAt(50).Time}, {"three", nowAt(60).Time}, {"four", nowAt(70).Time}}
	g := newGuarded()
	g.restore(old.record(false), g.now)
	if !g.doubted.Equal(g.now.Time) || !slices.Equal(g.refusals, old.refusals[:3]) {
		t.Errorf("%+v", g.Guard)
	}
}

// A record of another version, or one that is cut short, is an error that says so.
func TestGuardRecordIsDamaged(t *testing.T) {
	old := newGuarded()
	old.bad("a", "b")
	record := old.record(false)
	if g := newGuarded(); len(record) == 0 {
		t.Fatal(g)
	}
	record[0]++
	if _, err := newGuarded().restore(record, nowAt(1)); err == nil {
		t.Error("another version is taken")
	}
	record[0]--
	whole := len(old.record(false)) - 2*(2+1+8)
	for k := range record {
		_, err := newGuarded().restore(record[:k], nowAt(1))
		if ok := k == whole || k == whole+11; (err == nil) != ok {
			t.Errorf("%d bytes: %v", k, err)
		}
	}
}

func FuzzGuardRestore(f *testing.F) {
	old := newGuarded()
	old.bad("a", "b")
	f.Add(old.record(true))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, record []byte) {
		g := newGuarded()
		if g.restore(record, g.now); len(g.refusals) > g.tokens || g.accepted > g.now.Wall {
			t.Errorf("%+v", g.Guard)
		}
	})
}

// C17 as it is met with: 41 are refused, and again 41 after each of three restarts. The guard has
// seen fifty soon, and nothing more is believed.
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

// On the operator's word tokens are bad: the door opens, all are asked about, and they may go to
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
