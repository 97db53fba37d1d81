package storetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// Feedback tests a store.Feedback. place makes a new place for each test.
func Feedback(t *testing.T, place func(t *testing.T) Place[store.Feedback]) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, Place[store.Feedback])
	}{
		{"an empty list", testEmpty},
		{"the later of two times stays", testLaterStays},
		{"forget takes the very entries", testForgetExact},
		{"revive takes what died before", testRevive},
		{"pages come in the order of revisions", testPages},
		{"apps have lists of their own", testApps},
		{"all is there when it is opened again", testReopen},
		{"what stands longest leaves a full list", testFull},
		{"what is too old leaves", testAge},
		{"what was given can be given again", testAgain},
		{"only what was given can be given again", testAgainOnlyGiven},
		{"the later of two times is given again", testAgainLater},
		{"what was revived is not given again", testAgainRevived},
		{"what was given is bounded in number and in time", testAgainBounds},
		{"a full list takes nothing back", testAgainFull},
		{"giving again in steps", testAgainSteps},
		{"what cannot be kept is refused", testRefused},
		{"an ended context", testContext},
		{"memory stays the caller's", testCopies},
		{"many at once", testConcurrent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, place(t))
		})
	}
	t.Run("random histories", func(t *testing.T) {
		t.Parallel()
		randomFeedback(t, func() Place[store.Feedback] { return place(t) })
	})
}

func token(i int) []byte {
	return binary.BigEndian.AppendUint32(bytes.Repeat([]byte{0xab}, 28), uint32(i))
}

// dead returns token i, found dead ms milliseconds after the epoch.
func dead(i, ms int) store.Dead { return store.Dead{Token: token(i), Time: at(ms)} }

// pending reads the whole list of an app in pages of 3.
func pending(t rapid.TB, f store.Feedback, app string) []store.Dead {
	t.Helper()
	var all []store.Dead
	for after := uint64(0); ; {
		page, err := f.Pending(ctx, app, after, 3)
		must(t, err)
		if len(page) > 3 {
			t.Fatalf("got a page of %d entries, want at most 3", len(page))
		}
		if len(page) == 0 {
			return all
		}
		for _, d := range page {
			if d.Revision <= after {
				t.Fatalf("got an entry of revision %d after revision %d", d.Revision, after)
			}
			after = d.Revision
		}
		all = append(all, page...)
	}
}

// text formats a list for comparison: the last four bytes of each token and its time in
// milliseconds after the epoch, sorted by token.
func text(list []store.Dead) string {
	list = slices.SortedFunc(slices.Values(list), func(a, b store.Dead) int { return bytes.Compare(a.Token, b.Token) })
	var b strings.Builder
	for _, d := range list {
		fmt.Fprintf(&b, "%d@%d ", binary.BigEndian.Uint32(d.Token[len(d.Token)-4:]), d.Time.Sub(epoch).Milliseconds())
	}
	return strings.TrimSpace(b.String())
}

func check(t rapid.TB, f store.Feedback, app, want string) {
	t.Helper()
	list := pending(t, f, app)
	if got := text(list); got != want {
		t.Errorf("the list of %s: got %q, want %q", app, got, want)
	}
	for _, d := range list {
		if !f.Listed(app, d.Token) {
			t.Errorf("%s: %x is pending but not listed", app, d.Token)
		}
		if d.Time.Location() != time.UTC {
			t.Errorf("%s: got a time in %v, want UTC", app, d.Time.Location())
		}
	}
}

func testEmpty(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	check(t, f, app, "")
	must(t, f.Record(ctx, app))
	must(t, f.Forget(ctx, app, dead(1, 0)))
	must(t, f.Revive(ctx, app, token(1), at(0)))
	again(t, f, 0)
	if f.Listed(app, token(1)) {
		t.Error("a token is listed on an empty list")
	}
	if got, err := f.Revision(ctx, app); got != 0 || err != nil {
		t.Errorf("got revision %d and error %v, want 0", got, err)
	}
}

func testLaterStays(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	must(t, f.Record(ctx, app, dead(1, 5), dead(2, 5), dead(1, 7)))
	check(t, f, app, "1@7 2@5")
	before, err := f.Revision(ctx, app)
	must(t, err)
	must(t, f.Record(ctx, app, dead(1, 6), dead(2, 5)))
	check(t, f, app, "1@7 2@5")
	after, err := f.Revision(ctx, app)
	must(t, err)
	if before != after {
		t.Errorf("got revision %d though nothing changed, want %d as before", after, before)
	}
	must(t, f.Record(ctx, app, store.Dead{Token: token(2), Time: at(8).Add(999 * time.Microsecond)}))
	check(t, f, app, "1@7 2@8")
	list := pending(t, f, app)
	if got, want := list[1].Revision, list[0].Revision; got <= want {
		t.Errorf("got revision %d for the later change, want more than %d", got, want)
	}
	if got, err := f.Revision(ctx, app); got != list[1].Revision || err != nil {
		t.Errorf("got revision %d for the list (%v), want that of its latest change, %d", got, err, list[1].Revision)
	}
}

func testForgetExact(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	must(t, f.Record(ctx, app, dead(1, 5000), dead(2, 5000), dead(3, 5000)))
	read := pending(t, f, app)
	must(t, f.Record(ctx, app, dead(2, 5001))) // in the same second
	must(t, f.Forget(ctx, app, read...))
	check(t, f, app, "2@5001")
	must(t, f.Record(ctx, app, dead(1, 5000)))
	check(t, f, app, "1@5000 2@5001")
}

func testRevive(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	must(t, f.Record(ctx, app, dead(1, 5), dead(2, 5), dead(3, 5)))
	must(t, f.Revive(ctx, app, token(1), at(4)))
	must(t, f.Revive(ctx, app, token(2), at(5)))
	must(t, f.Revive(ctx, app, token(3), at(6)))
	check(t, f, app, "1@5 2@5")
	if f.Listed(app, token(3)) {
		t.Error("a revived token is still listed")
	}
}

func testPages(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	all := []store.Dead{
		{Token: []byte{2}, Time: at(9)},
		{Token: []byte{1, 255}, Time: at(1)},
		{Token: []byte{1}, Time: at(2)},
		{Token: bytes.Repeat([]byte{1}, 100), Time: at(0)},
		{Token: []byte{0}, Time: at(0)},
	}
	must(t, f.Record(ctx, app, dead(1, 1)))
	must(t, f.Record(ctx, app, all[:3]...))
	must(t, f.Record(ctx, app, store.Dead{Token: all[3].Token, Time: at(-5)}))
	must(t, f.Record(ctx, app, all[3:]...)) // the first is listed already: only its time changes
	must(t, f.Forget(ctx, app, dead(1, 1)))
	revisions := []uint64{0}
	for _, d := range pending(t, f, app) {
		revisions = append(revisions, d.Revision)
	}
	if len(revisions) != 1+len(all) {
		t.Fatalf("got %d entries, want %d", len(revisions)-1, len(all))
	}
	for limit := 0; limit <= len(all)+1; limit++ {
		for i, after := range revisions {
			page, err := f.Pending(ctx, app, after, limit)
			must(t, err)
			want := all[i:min(len(all), i+limit)]
			if !slices.EqualFunc(page, want, func(a, b store.Dead) bool {
				return bytes.Equal(a.Token, b.Token) && a.Time.Equal(b.Time)
			}) {
				t.Errorf("at most %d after revision %d: got %v, want %v", limit, after, page, want)
			}
		}
	}
	for _, after := range []uint64{revisions[len(all)] + 100, math.MaxUint64} {
		if page, err := f.Pending(ctx, app, after, 9); len(page) > 0 || err != nil {
			t.Errorf("after revision %d: got %v and error %v, want nothing", after, page, err)
		}
	}
}

func testApps(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	must(t, f.Record(ctx, "mail", dead(1, 1)))
	must(t, f.Record(ctx, "news", dead(1, 2), dead(2, 2)))
	check(t, f, "mail", "1@1")
	check(t, f, "news", "1@2 2@2")
	must(t, f.Forget(ctx, "news", dead(1, 1), dead(2, 2)))
	check(t, f, "mail", "1@1")
	check(t, f, "news", "1@2")
	if f.Listed("mail", token(2)) {
		t.Error("a token is listed for an app that never had it")
	}
}

func testReopen(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	must(t, f.Record(ctx, app, dead(1, 1), dead(2, 2), dead(3, 3)))
	must(t, f.Forget(ctx, app, dead(2, 2)))
	before, err := f.Revision(ctx, app)
	must(t, err)
	f = open(Settings{})
	check(t, f, app, "1@1 3@3")
	if after, err := f.Revision(ctx, app); after != before || err != nil {
		t.Errorf("got revision %d (%v), want %d as before", after, err, before)
	}
	must(t, f.Record(ctx, app, dead(4, 4)))
	if after, err := f.Revision(ctx, app); after <= before || err != nil {
		t.Errorf("got revision %d (%v), want more than %d", after, err, before)
	}
}

func testFull(t *testing.T, open Place[store.Feedback]) {
	s := Settings{Entries: 3}
	f := open(s)
	must(t, f.Record(ctx, app, dead(4, 40), dead(3, 30), dead(2, 20)))
	must(t, f.Record(ctx, app, dead(4, 41))) // now it is the one that changed last
	must(t, f.Record(ctx, app, dead(1, 10)))
	check(t, f, app, "1@10 2@20 4@41")
	if f.Listed(app, token(3)) {
		t.Error("a token that has left is still listed")
	}
	must(t, f.Record(ctx, app, dead(5, 1), dead(6, 1), dead(7, 1), dead(8, 1)))
	check(t, f, app, "6@1 7@1 8@1")
	must(t, f.Record(ctx, "news", dead(1, 1)))
	check(t, f, app, "6@1 7@1 8@1")
	s.Entries = 2
	f = open(s)
	check(t, f, app, "7@1 8@1")
}

func testAge(t *testing.T, open Place[store.Feedback]) {
	now := epoch
	s := Settings{Age: time.Hour, Now: func() time.Time { return now }}
	f := open(s)
	must(t, f.Record(ctx, app, dead(1, -10_000_000_000), dead(2, 0))) // found dead 115 days ago, but news to the store
	now = epoch.Add(time.Minute)
	must(t, f.Record(ctx, app, dead(3, 3), dead(2, 0)))
	now = epoch.Add(time.Hour)
	check(t, f, app, "1@-10000000000 2@0 3@3")
	now = now.Add(time.Second)
	check(t, f, app, "3@3")
	must(t, f.Record(ctx, app, dead(2, 0))) // APNs has reported it again
	check(t, f, app, "2@0 3@3")
	if f.Listed(app, token(1)) {
		t.Error("a token that was too old at the last change is still listed")
	}
	now = now.Add(time.Minute)
	f = open(s)
	check(t, f, app, "2@0")
	if f.Listed(app, token(3)) {
		t.Error("a token that was too old at the start is listed")
	}
}

func testRefused(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	for name, d := range map[string]store.Dead{
		"no token":          {Time: at(0)},
		"a token too long":  {Token: make([]byte, 1025), Time: at(0)},
		"no time":           {Token: token(1)},
		"a time after 2106": {Token: token(1), Time: time.Unix(1<<32, 0)},
	} {
		if err := f.Record(ctx, app, dead(2, 0), d); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if err := f.Record(ctx, "", dead(1, 0)); err == nil {
		t.Error("no app: got no error")
	}
	check(t, f, app, "")
}

func testContext(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := f.Record(ended, app, dead(1, 1)); err != context.Canceled {
		t.Errorf("Record: got %v, want context.Canceled", err)
	}
	if _, err := f.Again(ended, app); err != context.Canceled {
		t.Errorf("Again: got %v, want context.Canceled", err)
	}
	if _, err := f.Pending(ended, app, 0, 1); err != context.Canceled {
		t.Errorf("Pending: got %v, want context.Canceled", err)
	}
	check(t, f, app, "")
}

func testCopies(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	given := dead(1, 1)
	must(t, f.Record(ctx, app, given))
	clear(given.Token)
	check(t, f, app, "1@1")
	clear(pending(t, f, app)[0].Token)
	check(t, f, app, "1@1")
	page, err := f.Pending(ctx, app, 0, 2)
	must(t, err)
	_ = append(page[0].Token, 1)
	check(t, f, app, "1@1")
}

// Each of many goroutines records, revives and forgets tokens of its own and one that they
// all share, while others read.
func testConcurrent(t *testing.T, open Place[store.Feedback]) {
	const workers, each = 8, 30
	f := open(Settings{})
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				list, err := f.Pending(ctx, app, 0, 1000)
				byRevision := func(a, b store.Dead) int { return cmp.Compare(a.Revision, b.Revision) }
				if err != nil || !slices.IsSortedFunc(list, byRevision) {
					t.Errorf("got %s and error %v, want a list in the order of revisions", text(list), err)
					return
				}
				f.Listed(app, token(1))
			}
		})
	}
	for w := range workers {
		writers.Go(func() {
			for i := range each {
				own := 1000 + w*each + i
				for _, err := range []error{
					f.Record(ctx, app, dead(own, i), dead(0, w*each+i)),
					f.Forget(ctx, app, dead(own, i+1)), // with another time: it stays
					f.Revive(ctx, app, token(own), at(i)),
				} {
					if err != nil {
						t.Error(err)
					}
				}
				if i%2 == 0 {
					if err := f.Forget(ctx, app, dead(own, i)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	want := []store.Dead{dead(0, workers*each-1)}
	for w := range workers {
		for i := 1; i < each; i += 2 {
			want = append(want, dead(1000+w*each+i, i))
		}
	}
	check(t, f, app, text(want))
}
