package link

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// In random histories: sums are right, an app always has its own part whatever others do,
// no session with room stays parked after a credit, and when all credit is given back every
// session goes on.
func TestAccount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const bytes = 64 * 4000 // an app's own part is 4,000 and 128,000 are common
		a := newAccount(bytes)
		var open []*window
		some := func() *window {
			if len(open) == 0 {
				t.Skip("no session")
			}
			return rapid.SampledFrom(open).Draw(t, "session")
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				open = append(open, a.enter(fmt.Sprint("app", rapid.IntRange(0, 3).Draw(t, "app"))))
			},
			"leave": func(*rapid.T) {
				w := some()
				a.leave(w)
				for i := range open {
					if open[i] == w {
						open = append(open[:i], open[i+1:]...)
						break
					}
				}
			},
			"send": func(t *rapid.T) {
				w := some()
				for range rapid.IntRange(1, 300).Draw(t, "n") {
					if w.full || !w.open() {
						break
					}
					if own := w.share.bytes < a.own && w.open(); own && !a.roomy(w.share) {
						t.Fatal("an app cannot use all of its own part")
					}
					a.take(w, rapid.IntRange(20, 4000).Draw(t, "bytes"))
					a.room(w)
				}
			},
			"credit": func(t *rapid.T) {
				w := some()
				if w.notifications == 0 {
					return
				}
				n := rapid.IntRange(1, w.notifications).Draw(t, "n")
				bytes := w.bytes * n / w.notifications
				if n == w.notifications {
					bytes = w.bytes
				}
				if err := a.credit(w, n, bytes); err != nil {
					t.Fatal(err)
				}
				a.resume(func(w *window) {
					if w.full || w.waiting {
						t.Fatal("a session is resumed and still full")
					}
				})
				for _, w := range open {
					if w.full && a.roomy(w.share) && w.notifications <= windowNotifications/2 &&
						w.bytes <= windowBytes/2 {
						t.Fatalf("a session has room and is not resumed: %+v of %+v", *w, *w.share)
					}
				}
			},
			"too much credit": func(*rapid.T) {
				w := some()
				if a.credit(w, w.notifications+1, w.bytes) == nil || a.credit(w, w.notifications, w.bytes+1) == nil {
					t.Fatal("got no error for credit for more than is under way")
				}
			},
			"": func(t *rapid.T) {
				total, shares := int64(0), make(map[*share]int64)
				for _, w := range open {
					total += int64(w.bytes)
					shares[w.share] += int64(w.bytes)
				}
				if total != a.total {
					t.Fatalf("got %d bytes under way, want %d", a.total, total)
				}
				for s, want := range shares {
					if s.bytes != want {
						t.Fatalf("%s: got %d bytes, want %d", s.app, s.bytes, want)
					}
				}
				if len(open) == 0 && len(a.shares) > 0 {
					t.Fatalf("got %d shares without a session, want none", len(a.shares))
				}
			},
		})
		for _, w := range open {
			if err := a.credit(w, w.notifications, w.bytes); err != nil {
				t.Fatal(err)
			}
			a.resume(func(*window) {})
		}
		for _, w := range open {
			if w.full {
				t.Fatalf("a session was not resumed though all credit is back: %+v", *w)
			}
		}
	})
}
