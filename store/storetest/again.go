package storetest

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// again calls Again and checks that want entries come back.
func again(t rapid.TB, f store.Feedback, want int) {
	t.Helper()
	got, err := f.Again(ctx, app)
	must(t, err)
	if got != want {
		t.Errorf("Again: got %d, want %d", got, want)
	}
}

func checkListed(t *testing.T, f store.Feedback, i int, want bool) {
	t.Helper()
	if got := f.Listed(app, token(i)); got != want {
		t.Errorf("token %d is listed: got %v, want %v", i, got, want)
	}
}

func testAgain(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	must(t, f.Record(ctx, app, dead(1, 1), dead(2, 2), dead(3, 3)))
	must(t, f.Record(ctx, "news", dead(1, 1)))
	must(t, f.Forget(ctx, app, dead(1, 1), dead(2, 2)))
	must(t, f.Forget(ctx, "news", dead(1, 1)))
	before, err := f.Revision(ctx, app)
	must(t, err)
	f = open(Settings{})
	checkListed(t, f, 1, true) // as Revive needs it
	again(t, f, 2)
	check(t, f, app, "1@1 2@2 3@3")
	check(t, f, "news", "")
	for _, d := range pending(t, f, app)[1:] {
		if d.Revision <= before {
			t.Errorf("%d came back with revision %d, want one over %d", d.Token, d.Revision, before)
		}
	}
	again(t, f, 0)
	must(t, f.Forget(ctx, app, pending(t, f, app)...))
	check(t, f, app, "")
	again(t, f, 3)
	check(t, f, app, "1@1 2@2 3@3")
	check(t, open(Settings{}), app, "1@1 2@2 3@3")
}

// Entries that leave the list in another way than by Forget do not come back.
func testAgainOnlyGiven(t *testing.T, open Place[store.Feedback]) {
	now := epoch
	s := Settings{Entries: 2, Age: time.Hour, Now: func() time.Time { return now }}
	f := open(s)
	must(t, f.Record(ctx, app, dead(1, 1), dead(2, 2), dead(3, 3), dead(4, 4))) // too many: 1 and 2 leave
	must(t, f.Forget(ctx, app, dead(1, 1), dead(3, 4)))
	must(t, f.Revive(ctx, app, token(3), at(9)))
	now = now.Add(2 * time.Hour) // too old: 4 leaves
	must(t, f.Forget(ctx, app, dead(4, 4)))
	again(t, f, 0)
	check(t, f, app, "")
}

func testAgainLater(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	give := func(d ...store.Dead) {
		must(t, f.Record(ctx, app, d...))
		must(t, f.Forget(ctx, app, d...))
	}
	give(dead(1, 5), dead(2, 5), dead(3, 5), dead(4, 5), dead(5, 5))
	give(dead(4, 4), dead(5, 6))
	must(t, f.Record(ctx, app, dead(1, 4), dead(2, 5), dead(3, 6)))
	before := pending(t, f, app)
	again(t, f, 3)
	check(t, f, app, "1@5 2@5 3@6 4@5 5@6")
	if after := pending(t, f, app); after[0].Revision != before[1].Revision || after[1].Revision != before[2].Revision {
		t.Errorf("got %v from %v: entries that are not older than the given ones have changed", after, before)
	}
	again(t, f, 0)
}

func testAgainRevived(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	all := []store.Dead{dead(1, 5), dead(2, 5), dead(3, 5), dead(4, 5)}
	must(t, f.Record(ctx, app, all...))
	must(t, f.Forget(ctx, app, all...))
	must(t, f.Record(ctx, app, dead(4, 7)))
	must(t, f.Revive(ctx, app, token(1), at(4)))
	must(t, f.Revive(ctx, app, token(2), at(5)))
	must(t, f.Revive(ctx, app, token(3), at(6)))
	must(t, f.Revive(ctx, app, token(4), at(6))) // no effect: it has died again since
	check(t, f, app, "4@7")
	checkListed(t, f, 3, false)
	must(t, f.Forget(ctx, app, dead(4, 7)))
	again(t, f, 3)
	check(t, f, app, "1@5 2@5 4@7")
	must(t, f.Revive(ctx, app, token(4), at(8)))
	checkListed(t, f, 4, false)
	again(t, f, 0)
}

func testAgainBounds(t *testing.T, open Place[store.Feedback]) {
	now := epoch
	s := Settings{Entries: 3, Now: func() time.Time { return now }}
	f := open(s)
	give := func(i int) {
		must(t, f.Record(ctx, app, dead(i, i)))
		must(t, f.Forget(ctx, app, dead(i, i)))
	}
	for _, i := range []int{1, 2, 3, 1, 4} { // 2 leaves, because 1 was given again
		give(i)
	}
	checkListed(t, f, 2, false)
	again(t, f, 3)
	check(t, f, app, "1@1 3@3 4@4")
	must(t, f.Forget(ctx, app, dead(3, 3)))
	now = now.Add(time.Hour)
	must(t, f.Forget(ctx, app, dead(4, 4)))
	now = epoch.Add(24*time.Hour + time.Millisecond)
	again(t, f, 1)
	check(t, f, app, "1@1 4@4")
	checkListed(t, f, 3, false)
	must(t, f.Forget(ctx, app, dead(1, 1)))
	now = now.Add(25 * time.Hour)
	checkListed(t, open(s), 1, false)
}

func testAgainFull(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{Entries: 3})
	must(t, f.Record(ctx, app, dead(1, 1), dead(2, 2), dead(3, 3)))
	must(t, f.Forget(ctx, app, dead(1, 1), dead(2, 2), dead(3, 3)))
	must(t, f.Record(ctx, app, dead(4, 4), dead(5, 5)))
	again(t, f, 1)
	check(t, f, app, "1@1 4@4 5@5")
	again(t, f, 0)
	must(t, f.Revive(ctx, app, token(4), at(9)))
	must(t, f.Revive(ctx, app, token(5), at(9)))
	again(t, f, 2)
	check(t, f, app, "1@1 2@2 3@3")
}

// Again moves more entries than a store may want to move in one transaction.
func testAgainSteps(t *testing.T, open Place[store.Feedback]) {
	f := open(Settings{})
	const n = 2500
	var all []store.Dead
	for i := range n {
		all = append(all, dead(i, i))
	}
	must(t, f.Record(ctx, app, all...))
	must(t, f.Forget(ctx, app, all...))
	check(t, f, app, "")
	again(t, f, n)
	check(t, f, app, text(all))
}
