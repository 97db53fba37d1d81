package conversation

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestConnAsked checks what a Conn answers to package bridge, from the beginning of the connection to its end.
func TestConnAsked(t *testing.T) {
	type step struct {
		event           string
		open, remembers bool
	}
	for name, steps := range map[string][]step{
		"told a failure": {
			{"open A", true, false},
			{"A 1 x", true, false},
			{"A 2 a", true, false},
			{"A bad x", false, true},
			{"A 3 b", false, true},
			{"A ends heard", false, false},
			{"A closes heard", false, false},
		},
		"ended by its provider, with a verdict still out": {
			{"open A", true, false},
			{"A 1 a", true, false},
			{"A ends", false, false},
		},
		"ended by the gateway": {
			{"open A", true, false},
			{"A shuts", false, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, "")
			for _, step := range steps {
				s.do(strings.Fields(step.event))
				s.listen()
				c := s.conns["A"]
				if open, remembers := c.Open(), c.Remembers(); open != step.open || remembers != step.remembers {
					t.Errorf("after %q: open %v, want %v; remembers %v, want %v",
						step.event, open, step.open, remembers, step.remembers)
				}
			}
		})
	}
}

// A connection is still open after ReadOn.
func TestReadOnIsOpen(t *testing.T) {
	c := play(t, "open A").conns["A"]
	c.ReadOn()
	if !c.Open() || !c.Lingers() {
		t.Errorf("open %v and lingers %v, want both", c.Open(), c.Lingers())
	}
}

// Only the record of an episode ends by itself, whether or not its client comes back.
func TestIsEpisode(t *testing.T) {
	for key, want := range map[string]bool{
		"client\x00e\x00\x00\x00\x00\x00\x00\x00\x01": true,
		"client\x00h\x00": false,
		"client\x00":      false,
		"client":          false,
		"":                false,
	} {
		if got := (Record{Key: []byte(key)}).IsEpisode(); got != want {
			t.Errorf("IsEpisode of %q: got %v, want %v", key, got, want)
		}
	}
}

// An empty ledger has no share of the budget, even after account(0).
func TestBoundsNothing(t *testing.T) {
	o := defaultOptions()
	l := New(o, time.Now())
	for _, step := range []struct{ bytes, holders int64 }{{0, 0}, {100, 1}, {0, 1}, {100, 1}, {-200, 0}, {0, 0}} {
		l.account(step.bytes)
		if got := o.Budget.holders.Load(); got != step.holders {
			t.Fatalf("after %d bytes: %d ledgers hold memory, want %d", step.bytes, got, step.holders)
		}
	}
}

// An episode whose life is shorter than the wait for its tail ends with its life.
func TestShortLife(t *testing.T) {
	o := defaultOptions()
	o.Life = time.Minute
	playWith(t, o, `
		open A
		A 1 x
		A 2 a
		A bad x    -> packet A 8 1
		A ok a
		A ends heard
		A closes heard
		wait 59s
		wait 1s    -> feedback x
	`)
}

// When one episode ends, another with the same failed notification can still be found by that.
func TestListsApart(t *testing.T) {
	s := play(t, `
		open A
		A 1 a
		A 2 x
		A 3 b
		A ok a
		A bad x    -> packet A 8 2
		open B elsewhere
		B 1 a
		B 2 x
		B 3 c
		B ok a
		B bad x    -> packet B 8 2
		A ends
		A closes   -> feedback x
		B ok c
		B ends heard
		B closes heard
		open C elsewhere
		C 1 a
		C 2 x      -> feedback x
		C 3 c
	`)
	if got := s.ledger.Stats().ListsRepeated; got != 1 {
		t.Errorf("%d lists were begun anew, want one, that of B", got)
	}
	if got := len(s.ledger.lists); got != 0 {
		t.Errorf("%d lists are still watched with no episode left", got)
	}
}

// For 15 seconds, a library may send again into the connection that failed.
func TestOldSocket(t *testing.T) {
	for wait, want := range map[string]string{"15s": "-> swallow", "15001ms": ""} {
		t.Run(wait, func(t *testing.T) {
			play(t, `
				open A
				A 1 x
				A 2 a
				A bad x    -> packet A 8 1
				A ok a
				wait `+wait+`
				A 2 a      `+want)
		})
	}
}

// While it grows, an episode of a thousand notifications is saved less often than one of a few.
func TestSavedLater(t *testing.T) {
	const many = 1000
	var tail strings.Builder
	for i := range many - 1 {
		fmt.Fprintf(&tail, "A %d n%d\n", i+2, i)
	}
	s := play(t, "open A\nA 1 x\n"+tail.String()+"A bad x -> packet A 8 1\nA 9999 last")
	at, ok := s.ledger.Deadline()
	if wait := at.Sub(s.now); !ok || wait != 200*time.Millisecond {
		t.Errorf("saved after %v (%v), want 100 ms plus 100 µs for each of %d", wait, ok, many)
	}
}

// A habit is remembered for 90 days after its provider was last seen.
func TestHabitKept(t *testing.T) {
	s := remembered(t)
	h := s.ledger.habit(Kind{Address: home})
	h.resends = true
	if got := s.ledger.habitRecord(h).Expires.Sub(s.now); got != 90*24*time.Hour {
		t.Errorf("kept for %v, want 90 days", got)
	}
}
