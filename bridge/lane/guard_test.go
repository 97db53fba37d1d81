package lane

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"
)

// guarded is a guard that is aroused by three tokens, with a time of its own.
type guarded struct {
	Guard
	now Now
}

func newGuarded() *guarded {
	return &guarded{Guard: Guard{tokens: 3, under: "production"}, now: nowAt(100)}
}

func nowAt(second int64) Now {
	wall := 1_700_000_000 + second
	return Now{Mono: time.Duration(second) * time.Second, Wall: wall, Time: time.Unix(wall, 0).UTC()}
}

func (g *guarded) bad(tokens ...string) (r Ruling) {
	for _, t := range tokens {
		r = g.refuse([]byte(t), g.now.Mono, g.now)
	}
	return r
}

// What has happened to a guard before.
var (
	accepted       = func(g *guarded) { g.accept(g.now.Mono, g.now) }
	acceptedBefore = func(g *guarded) { g.accept(g.now.Mono, g.now); g.renewed(g.now) }
	acceptedLate   = func(g *guarded) { g.renewed(nowAt(101)); g.accept(g.now.Mono, g.now); g.now = nowAt(102) }
	held           = func(g *guarded) { g.bad(three...) }

	three = []string{"a", "b", "c"}
	hold  = Ruling{Hold: true, Alarm: true, Save: true}
)

func TestGuardHolds(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*guarded)
		tokens []string
		want   Ruling // but for Withdraw
	}{
		"two different":      {nil, []string{"a", "b"}, Ruling{Save: true}},
		"two, one again":     {nil, []string{"a", "b", "a"}, Ruling{}},
		"three different":    {nil, three, hold},
		"an acceptance":      {accepted, []string{"a", "b"}, Ruling{}},
		"an alarm":           {accepted, three, Ruling{Alarm: true}},
		"one alarm":          {accepted, []string{"a", "b", "c", "d"}, Ruling{}},
		"it is off":          {func(g *guarded) { g.tokens = 0 }, three, Ruling{}},
		"they are believed":  {func(g *guarded) { g.believe() }, three, Ruling{}},
		"sent before":        {func(g *guarded) { g.renewed(nowAt(101)) }, three, Ruling{}},
		"accepted before":    {acceptedBefore, three, hold},
		"refused before":     {func(g *guarded) { g.bad("a", "b"); g.renewed(g.now) }, []string{"c", "d"}, Ruling{Save: true}},
		"refused and one OK": {func(g *guarded) { g.bad("a", "b"); g.accept(g.now.Mono, g.now) }, []string{"c", "d"}, Ruling{}},
		"another name, late": {acceptedLate, three, hold},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded()
			if c.before != nil {
				c.before(g)
			}
			if r := g.bad(c.tokens...); len(r.Withdraw) > 0 || fmt.Sprint(r) != fmt.Sprint(c.want) {
				t.Errorf("%+v", r)
			}
			if len(g.refusals) > g.tokens {
				t.Errorf("%d refusals are remembered", len(g.refusals))
			}
		})
	}
}

// What went to feedback before a hold is withdrawn when it begins, with the date it has there.
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

// What survives a restart, for how long, and under which name.
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
		"an acceptance":                        {accepted, false, "production", 1, false, false},
		"an acceptance, six days later":        {accepted, false, "production", week - 1, false, false},
		"an acceptance, seven days later":      {accepted, false, "production", week, true, false},
		"an acceptance, the clock set back":    {accepted, false, "production", -week, false, false},
		"C18: an acceptance of another name":   {accepted, false, "sandbox", 1, true, false},
		"C17: a hold":                          {held, true, "production", 1, true, true},
		"a hold under another name":            {held, true, "sandbox", 1, true, false},
		"C17: two of three refusals":           {func(g *guarded) { g.bad("x", "y") }, false, "production", 1, true, false},
		"the operator's word":                  {func(g *guarded) { g.believe() }, true, "production", 1, false, false},
		"the operator's word on another topic": {func(g *guarded) { g.believe() }, true, "sandbox", 1, true, false},
		"an acceptance that a reload ended":    {acceptedBefore, false, "production", 1, true, false},
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
			same := c.after > 0 && c.under == old.under && (g.proven || !old.proven)
			if same && !bytes.Equal(g.record(c.suspect), record) {
				t.Error("recorded again it is not the same")
			}
			if r := g.bad([]string{"p", "q", "r"}[refused:]...); r.Hold != c.hold {
				t.Errorf("%+v", r)
			}
		})
	}
}

// An acceptance that was recorded by a clock that was ahead does not count for longer.
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
	old.refusals = []refusal{{"one", time.Time{}}, {"two", nowAt(50).Time}, {"three", nowAt(60).Time},
		{"four", nowAt(70).Time}}
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

// A guard's record is kept for as long as the guard looks back.
func TestGuardLife(t *testing.T) {
	const week = 7 * 24 * time.Hour
	if GuardLife != week || guardMemory*time.Second != week {
		t.Errorf("kept for %v, and looked back for %d seconds", GuardLife, int64(guardMemory))
	}
}
