package conversation

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
	"text/tabwriter"
)

var (
	long  = flag.Bool("long", false, "run the long rounds")
	seed  = flag.Uint64("seed", 0, "run only the history of this seed, and print it")
	table = flag.String("table", "", "write the residual rates to this file")
)

func (s *Stats) add(t Stats) {
	a, b := reflect.ValueOf(s).Elem(), reflect.ValueOf(t)
	for i := range a.NumField() {
		if f := a.Field(i); f.CanUint() {
			f.SetUint(f.Uint() + b.Field(i).Uint())
		}
	}
}

// collectLess has garbage collected seldom: histories make much of it and keep little.
func collectLess(t *testing.T) {
	before := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

// history plays a habit once. identical is the share of notifications that repeat an earlier
// one of the same program.
func history(habit int, identical float64, seed uint64, tracing bool) *world {
	w := newWorld(seed)
	w.tracing = tracing
	w.harsh = w.chance(0.3)
	h := habits[habit]
	w.leave = h.leave
	bad := 0.02 + 0.28*w.rng.Float64()*w.rng.Float64()
	if h.bad > 0 {
		bad = h.bad
	}
	var past []content
	mail := func() content {
		if len(past) > 0 && w.chance(identical) {
			return past[max(0, len(past)-1-w.rng.IntN(40))]
		}
		c := content{user: uint32(len(past)/200*badEvery + 1 + len(past)%200), payload: uint32(len(past))}
		if w.chance(0.3) && len(past) > 0 {
			c.user = past[w.rng.IntN(len(past))].user // a device gets more than one
		} else if w.chance(bad) {
			c.user = uint32(len(past)+1) * badEvery
		}
		past = append(past, c)
		return c
	}
	live := h.live
	if live == nil {
		live = nowAndThen
	}
	live(w, h.library, mail)
	w.run()
	w.stats.add(w.ledger.Stats())
	return w
}

// check says what is wrong with a finished history, whatever its contents; "" if nothing is.
func (w *world) check() string {
	if w.wrong != "" {
		return w.wrong
	}
	if w.held != 0 {
		return fmt.Sprintf("%d contents were never released", w.held)
	}
	for _, l := range w.links {
		if l.conn != nil && (l.conn.Len() != 0 || !l.gone) {
			return fmt.Sprintf("a connection was left with %d in its window, gone: %v", l.conn.Len(), l.gone)
		}
	}
	if users := w.untold(); len(users) > 0 && !w.lossy {
		return fmt.Sprintf("nobody was told of the bad tokens of users %d", users)
	}
	if s := w.ledger.Stats(); s.Entries != 0 || s.Episodes != 0 || s.Bytes != 0 || w.ledger.options.Budget.Used() != 0 {
		return fmt.Sprintf("%d entries, %d episodes and %d bytes remain", s.Entries, s.Episodes, s.Bytes)
	}
	return ""
}

// When no two contents are the same, every good notification is delivered exactly once,
// whatever the habit.
func TestExactlyOnce(t *testing.T) {
	rounds := 100
	switch {
	case *long:
		rounds = 100_000 / len(habits)
	case testing.Short(): // fuzz/mutate
		rounds = 3
	}
	collectLess(t)
	for i, h := range habits {
		t.Run(strings.ReplaceAll(h.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			if *seed != 0 {
				w := history(i, 0, *seed, true)
				t.Log("\n" + strings.Join(w.trace, "\n"))
				t.Logf("lost %d, doubled %d %s", w.lost(), w.doubled(), w.check())
				return
			}
			for n := range rounds {
				seed := uint64(n + 1)
				w := history(i, 0, seed, false)
				if problem := w.check(); problem != "" {
					t.Fatalf("-seed %d: %s", seed, problem)
				}
				if h.exempt {
					continue
				}
				if lost, doubled := w.lost(), w.doubled(); lost+doubled > 0 {
					t.Errorf("-seed %d: lost %d, doubled %d of %d", seed, lost, doubled, len(w.want))
				}
			}
		})
	}
}

// rates is the outcome of many histories.
type rates struct{ good, lost, doubled int }

// ratesOf plays a habit the given number of times.
func ratesOf(t *testing.T, habit int, identical float64, rounds int) (r rates) {
	for n := range rounds {
		seed := uint64(n+1) << 20
		w := history(habit, identical, seed, false)
		if problem := w.check(); problem != "" {
			t.Fatalf("seed %d: %s", seed, problem)
		}
		for c, n := range w.want {
			if !c.bad() && !w.gone(c) {
				r.good += n
			}
		}
		r.lost += w.lost()
		r.doubled += w.doubled()
	}
	return r
}

// TestResidual makes the table that docs/promises.md quotes: what is lost and what is
// delivered twice when some of the notifications are identical.
func TestResidual(t *testing.T) {
	rounds := 5
	if *long {
		rounds = 400
	}
	collectLess(t)
	shares := [...]float64{0, 0.1, 0.3}
	all := make([][len(shares)]rates, len(habits))
	t.Run("of", func(t *testing.T) {
		for i, h := range habits {
			for j, identical := range shares {
				t.Run(fmt.Sprintf("%s/%v", strings.ReplaceAll(h.name, " ", "_"), identical), func(t *testing.T) {
					t.Parallel()
					r := ratesOf(t, i, identical, rounds)
					if !h.exempt && 20*r.doubled > r.good {
						t.Errorf("%d of %d were delivered twice", r.doubled, r.good)
					}
					all[i][j] = r
				})
			}
		}
	})
	var out strings.Builder
	tw := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "habit\tgood\tlost 0 %\tdoubled\tlost 10 %\tdoubled\tlost 30 %\tdoubled")
	for i, of := range all {
		fmt.Fprintf(tw, "%s\t%d", habits[i].name, of[0].good)
		for _, r := range of {
			fmt.Fprintf(tw, "\t%s\t%s", percent(r.lost, r.good), percent(r.doubled, r.good))
		}
		fmt.Fprintln(tw)
	}
	tw.Flush()
	t.Log("\n" + out.String())
	if *table != "" {
		if err := os.WriteFile(*table, []byte(out.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func percent(n, of int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%.3f %%", 100*float64(n)/float64(of))
}
