package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// Ledger tests a store.Ledger. place makes a new place for each test.
func Ledger(t *testing.T, place func(t *testing.T) Place[store.Ledger]) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, Place[store.Ledger])
	}{
		{"what is appended is loaded", testAppend},
		{"what has expired is gone", testExpires},
		{"replace leaves nothing else", testReplace},
		{"load ends at the first error", testLoadError},
		{"keys that cannot be kept", testLedgerKeys},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, place(t))
		})
	}
	t.Run("random histories", func(t *testing.T) {
		t.Parallel()
		randomLedger(t, func() Place[store.Ledger] { return place(t) })
	})
}

// note returns a record that expires ms milliseconds after the epoch.
func note(key, value string, ms int) store.LedgerRecord {
	return store.LedgerRecord{Key: []byte(key), Value: []byte(value), Expires: at(ms)}
}

func checkLedger(t rapid.TB, l store.Ledger, want string) {
	t.Helper()
	var got []string
	must(t, l.Load(ctx, func(r store.LedgerRecord) error {
		got = append(got, fmt.Sprintf("%s=%s@%d", r.Key, r.Value, r.Expires.Sub(epoch).Milliseconds()))
		return nil
	}))
	if got := strings.Join(got, " "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func atEpoch() time.Time { return epoch }

func testAppend(t *testing.T, open Place[store.Ledger]) {
	s := Settings{Now: atEpoch}
	l := open(s)
	checkLedger(t, l, "")
	must(t, l.Append(ctx))
	must(t, l.Append(ctx, note("b", "1", 5), note("a", "", 7), note("b", "2", 6)))
	checkLedger(t, l, "a=@7 b=2@6")
	l = open(s)
	checkLedger(t, l, "a=@7 b=2@6")
	value := note("c", "mine", 8)
	must(t, l.Append(ctx, value))
	clear(value.Value)
	checkLedger(t, l, "a=@7 b=2@6 c=mine@8")
}

func testExpires(t *testing.T, open Place[store.Ledger]) {
	now := epoch
	s := Settings{Now: func() time.Time { return now }}
	l := open(s)
	must(t, l.Append(ctx, note("a", "1", 1), note("b", "1", 2), note("c", "1", 3)))
	now = at(1)
	checkLedger(t, l, "b=1@2 c=1@3")
	must(t, l.Append(ctx, note("b", "", 1))) // which removes it: it has expired
	checkLedger(t, l, "c=1@3")
	must(t, l.Append(ctx, store.LedgerRecord{Key: []byte("c")}))
	now = epoch
	checkLedger(t, open(s), "a=1@1")
}

func testReplace(t *testing.T, open Place[store.Ledger]) {
	s := Settings{Now: atEpoch}
	l := open(s)
	must(t, l.Append(ctx, note("a", "1", 1), note("b", "1", 2)))
	must(t, l.Replace(ctx, note("b", "2", 9), note("c", "2", 9)))
	checkLedger(t, l, "b=2@9 c=2@9")
	checkLedger(t, open(s), "b=2@9 c=2@9")
	l = open(s)
	must(t, l.Replace(ctx))
	checkLedger(t, l, "")
	must(t, l.Append(ctx, note("d", "3", 9)))
	checkLedger(t, l, "d=3@9")
}

func testLoadError(t *testing.T, open Place[store.Ledger]) {
	l := open(Settings{Now: atEpoch})
	must(t, l.Append(ctx, note("a", "1", 1), note("b", "1", 2)))
	enough := errors.New("enough")
	calls := 0
	if err := l.Load(ctx, func(store.LedgerRecord) error { calls++; return enough }); err != enough || calls != 1 {
		t.Errorf("got error %v after %d calls, want %v after 1", err, calls, enough)
	}
}

func testLedgerKeys(t *testing.T, open Place[store.Ledger]) {
	l := open(Settings{Now: atEpoch})
	for _, size := range []int{0, 1025} {
		bad := store.LedgerRecord{Key: make([]byte, size), Expires: at(1)}
		if err := l.Append(ctx, note("a", "1", 1), bad); err == nil {
			t.Errorf("Append with a key of %d bytes: got no error", size)
		}
		if err := l.Replace(ctx, note("a", "1", 1), bad); err == nil {
			t.Errorf("Replace with a key of %d bytes: got no error", size)
		}
	}
	must(t, l.Append(ctx, store.LedgerRecord{Key: bytes.Repeat([]byte("k"), 1024), Expires: at(1)}))
	checkLedger(t, l, strings.Repeat("k", 1024)+"=@1")
}

func randomLedger(t *testing.T, place func() Place[store.Ledger]) {
	record := rapid.Custom(func(t *rapid.T) store.LedgerRecord {
		key, value := rapid.StringMatching(`[a-e]`).Draw(t, "key"), rapid.StringMatching(`[0-9]{0,3}`).Draw(t, "value")
		return note(key, value, rapid.IntRange(0, 20).Draw(t, "expires"))
	})
	records := rapid.SliceOfN(record, 0, 6)
	rapid.Check(t, func(rt *rapid.T) {
		now := epoch
		s := Settings{Now: func() time.Time { return now }}
		open := place()
		l := open(s)
		model := make(map[string]store.LedgerRecord)
		put := func(batch []store.LedgerRecord) {
			for _, r := range batch {
				if model[string(r.Key)] = r; !r.Expires.After(now) {
					delete(model, string(r.Key))
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				batch := records.Draw(rt, "records")
				must(rt, l.Append(ctx, batch...))
				put(batch)
			},
			"replace": func(rt *rapid.T) {
				batch := records.Draw(rt, "records")
				must(rt, l.Replace(ctx, batch...))
				clear(model)
				put(batch)
			},
			"time goes on": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 5).Draw(rt, "ms")) * time.Millisecond)
			},
			"open again": func(*rapid.T) { l = open(s) },
			"": func(rt *rapid.T) {
				var want []string
				for _, key := range slices.Sorted(maps.Keys(model)) {
					if r := model[key]; r.Expires.After(now) {
						expires := r.Expires.Sub(epoch).Milliseconds()
						want = append(want, fmt.Sprintf("%s=%s@%d", r.Key, r.Value, expires))
					}
				}
				checkLedger(rt, l, strings.Join(want, " "))
			},
		})
	})
}
