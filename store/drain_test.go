package store_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

var long = flag.Bool("long", false, "run the long rounds")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

const (
	app    = "mail"
	client = "client"
)

// encode gives a tuple of 38 bytes.
func encode(b []byte, d store.Dead) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(d.Time.Unix()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(d.Token)))
	return append(b, d.Token...)
}

// reader is the client's end of a drain.
type reader struct {
	acknowledged, confirmed bool
	breaksAfter             int                 // Writes; 0 is never
	left                    func()              // called at Finish
	during                  func(tuples []byte) // called at each Write
	tuples                  []string            // "token@time"
	writes                  int
	finished                int
}

var errBroken = errors.New("connection reset")

func (r *reader) Write(b []byte) error {
	if r.breaksAfter > 0 && r.writes == r.breaksAfter {
		return errBroken
	}
	r.writes++
	if len(b) == 0 || len(b) > 16<<10 {
		return fmt.Errorf("a write of %d bytes", len(b))
	}
	for rest := b; len(rest) > 0; {
		size := 6 + int(binary.BigEndian.Uint16(rest[4:]))
		r.tuples = append(r.tuples, fmt.Sprintf("%x@%d", rest[6:size], binary.BigEndian.Uint32(rest)))
		rest = rest[size:]
	}
	if r.during != nil {
		r.during(b)
	}
	return nil
}

func (r *reader) Finish() (confirmed bool, err error) {
	r.finished++
	if r.left != nil {
		r.left()
	}
	return r.confirmed, nil
}

func (r *reader) Acknowledged() bool { return r.acknowledged }

func dead(i, seconds int) store.Dead {
	token := make([]byte, 32)
	binary.BigEndian.PutUint32(token, uint32(i))
	return store.Dead{Token: token, Time: time.Unix(int64(seconds), 0).UTC()}
}

// many is n entries, from dead(i, i) on.
func many(i, n int) []store.Dead {
	var all []store.Dead
	for ; n > 0; n-- {
		all = append(all, dead(i, i))
		i++
	}
	return all
}

func open(t testing.TB, dir string) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// list is what stands on the list, sorted.
func list(t rapid.TB, f store.Feedback) []string {
	t.Helper()
	all, err := f.Pending(ctx, app, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, d := range all {
		pairs = append(pairs, fmt.Sprintf("%x@%d", d.Token, d.Time.Unix()))
	}
	slices.Sort(pairs)
	return pairs
}

func record(t rapid.TB, f store.Feedback, dead ...store.Dead) {
	t.Helper()
	if err := f.Record(ctx, app, dead...); err != nil {
		t.Fatal(err)
	}
}

func drain(t rapid.TB, d *store.Drainer, r *reader) store.Drained {
	t.Helper()
	got, err := d.Drain(ctx, client, app, r)
	if err != nil {
		t.Fatal(err)
	}
	if r.finished != 1 {
		t.Fatalf("the connection was ended %d times, want once", r.finished)
	}
	return got
}

func TestDrainConfirmed(t *testing.T) {
	f := open(t, t.TempDir()).Feedback()
	const entries = 2500 // three pages
	record(t, f, many(0, entries)...)
	want := list(t, f)
	d := store.NewDrainer(f, encode, time.Now)
	r := &reader{acknowledged: true, confirmed: true}
	if got, want := drain(t, d, r), (store.Drained{Outcome: store.Confirmed, Tuples: entries, Forgotten: entries}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !slices.Equal(r.tuples, want) {
		t.Errorf("got %d tuples, not those of the list (%d)", len(r.tuples), len(want))
	}
	if left := list(t, f); len(left) > 0 {
		t.Errorf("got %d entries left, want 0", len(left))
	}
	if got, want := drain(t, d, &reader{}), (store.Drained{Outcome: store.Empty}); got != want {
		t.Errorf("then: got %+v, want %+v", got, want)
	}
}

// What is found dead while the list is given is for the next time, and an entry
// whose time changes stays with its new one.
func TestDrainWhileItGrows(t *testing.T) {
	f := open(t, t.TempDir()).Feedback()
	var all []store.Dead
	for i := range 1500 {
		all = append(all, dead(2*i, 100))
	}
	record(t, f, all...)
	r := &reader{acknowledged: true, confirmed: true}
	r.during = func([]byte) {
		if r.writes == 1 {
			record(t, f, dead(1, 200), dead(2, 200), dead(2999, 200), dead(2998, 200))
		}
	}
	got := drain(t, store.NewDrainer(f, encode, time.Now), r)
	want := []string{pair(1, 200), pair(2, 200), pair(2998, 200), pair(2999, 200)}
	if left := list(t, f); !slices.Equal(left, want) {
		t.Errorf("got %v left after %+v, want %v", left, got, want)
	}
	if slices.Contains(r.tuples, pair(2999, 200)) {
		t.Error("what came while the list was given was given too")
	}
}

func pair(i, seconds int) string {
	d := dead(i, seconds)
	return fmt.Sprintf("%x@%d", d.Token, d.Time.Unix())
}

func TestDrainUnconfirmed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		r       reader
		want    store.Drained
		wantErr error
	}{
		{"unread", reader{}, store.Drained{Outcome: store.Unread, Tuples: 1000}, nil},
		{"acknowledged", reader{acknowledged: true}, store.Drained{Outcome: store.Acknowledged, Tuples: 1000}, nil},
		{"broken half-way", reader{breaksAfter: 1, acknowledged: true, confirmed: true}, store.Drained{Outcome: store.Unread, Tuples: 405}, errBroken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, t.TempDir()).Feedback()
			record(t, f, many(0, 1000)...)
			now := time.Unix(1_800_000_000, 0)
			d := store.NewDrainer(f, encode, func() time.Time { return now })
			got, err := d.Drain(ctx, client, app, &tt.r)
			if got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Errorf("got %+v and error %v, want %+v and %v", got, err, tt.want, tt.wantErr)
			}
			if tt.r.finished != 1 {
				t.Errorf("the connection was ended %d times, want once", tt.r.finished)
			}
			if left := list(t, f); len(left) != 1000 {
				t.Errorf("got %d entries left, want all 1000", len(left))
			}
			if got := drain(t, d, &reader{}); got.Outcome != store.Refused {
				t.Errorf("at once again: got %+v, want a refusal", got)
			}
			now = now.Add(10 * time.Second)
			if got := drain(t, d, &reader{acknowledged: true, confirmed: true}); got.Tuples != 1000 || got.Forgotten != 1000 {
				t.Errorf("ten seconds later: got %+v, want 1000 tuples forgotten", got)
			}
		})
	}
}

// A reader that takes no more than 250 tuples is given a quarter after it has twice
// left something, which it confirms; then half, which it does not.
func TestDrainPartialReader(t *testing.T) {
	f := open(t, t.TempDir()).Feedback()
	record(t, f, many(0, 1000)...)
	now := time.Unix(1_800_000_000, 0)
	d := store.NewDrainer(f, encode, func() time.Time { return now })
	for i, want := range []int{1000, 1000, 250, 500, 250, 250, 250} {
		r := &reader{acknowledged: true, confirmed: want <= 250}
		got := drain(t, d, r)
		if got.Tuples != want || len(r.tuples) != want || r.confirmed && got.Forgotten != want || !r.confirmed &&
			got.Forgotten > 0 {
			t.Errorf("visit %d: got %+v, want %d tuples, and if it takes them they are forgotten", i, got, want)
		}
		now = now.Add(10 * time.Second)
	}
	if left := list(t, f); len(left) != 0 {
		t.Errorf("%d entries are left", len(left))
	}
}

// Two readers of one client at once: one gets all, the other nothing.
func TestDrainTwice(t *testing.T) {
	f := open(t, t.TempDir()).Feedback()
	record(t, f, dead(1, 1))
	d := store.NewDrainer(f, encode, time.Now)
	first := &reader{acknowledged: true, confirmed: true}
	first.during = func([]byte) {
		second := &reader{acknowledged: true, confirmed: true}
		if got := drain(t, d, second); got.Outcome != store.Refused || len(second.tuples) > 0 {
			t.Errorf("the second got %+v, want a refusal", got)
		}
		other := &reader{}
		if got, err := d.Drain(ctx, "another client", app, other); err != nil || got.Tuples != 1 {
			t.Errorf("another client got %+v (%v), want a tuple", got, err)
		}
	}
	if got := drain(t, d, first); got.Forgotten != 1 {
		t.Errorf("the first got %+v, want 1 forgotten", got)
	}
}

// A reader that stops by count has read what it was given three times.
func TestDrainAcknowledgedThrice(t *testing.T) {
	f := open(t, t.TempDir()).Feedback()
	now := time.Unix(1_800_000_000, 0)
	d := store.NewDrainer(f, encode, func() time.Time { return now })
	for i, want := range [][]string{
		{pair(0, 1)},
		{pair(0, 1), pair(1, 1)},
		{pair(1, 1), pair(2, 1)},
		{pair(2, 1), pair(3, 1)},
	} {
		record(t, f, dead(i, 1))
		drain(t, d, &reader{acknowledged: true})
		if left := list(t, f); !slices.Equal(left, want) {
			t.Errorf("drain %d: got %v left, want %v", i, left, want)
		}
		now = now.Add(time.Minute)
	}
}

// The context of a drain is that of its connection, and ends with it.
func TestDrainContextEnds(t *testing.T) {
	f := open(t, t.TempDir()).Feedback()
	record(t, f, dead(1, 1))
	d := store.NewDrainer(f, encode, time.Now)
	here, gone := context.WithCancel(ctx)
	got, err := d.Drain(here, client, app, &reader{acknowledged: true, confirmed: true, left: gone})
	if want := (store.Drained{Outcome: store.Confirmed, Tuples: 1, Forgotten: 1}); got != want || err != nil {
		t.Errorf("ended after the last tuple: got %+v and error %v, want %+v", got, err, want)
	}
	record(t, f, dead(1, 1))
	got, err = d.Drain(here, client, app, &reader{acknowledged: true})
	if want := (store.Drained{Outcome: store.Unread}); got != want || !errors.Is(err, context.Canceled) {
		t.Errorf("ended before the first tuple: got %+v and error %v, want %+v", got, err, want)
	}
}

func TestDrainStoreClosed(t *testing.T) {
	s := open(t, t.TempDir())
	record(t, s.Feedback(), dead(1, 1))
	s.Close()
	r := new(reader)
	got, err := store.NewDrainer(s.Feedback(), encode, time.Now).Drain(ctx, client, app, r)
	if !errors.Is(err, store.ErrClosed) || got != (store.Drained{Outcome: store.Unread}) || r.finished != 1 {
		t.Errorf("got %+v, error %v and the connection ended %d times", got, err, r.finished)
	}
}

// Over random histories, with changes in the middle of drains, nothing leaves
// the list but by a read that counts, and nothing that was read comes again.
func TestDrainRandom(t *testing.T) {
	type entry struct{ seconds, version int }
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t, t.TempDir())
		defer s.Close()
		f := s.Feedback()
		now := time.Unix(1_800_000_000, 0)
		d := store.NewDrainer(f, encode, func() time.Time { return now })
		model, versions := make(map[int]entry), 0 // what must be on the list, by token
		var acknowledged []map[int]entry
		change := func(rt *rapid.T) {
			i, seconds := rapid.IntRange(1, 9).Draw(rt, "token"), rapid.IntRange(1, 9).Draw(rt, "time")
			e, ok := model[i]
			if rapid.Bool().Draw(rt, "revive") {
				if err := f.Revive(ctx, app, dead(i, 0).Token, time.Unix(int64(seconds), 0)); err != nil {
					rt.Fatal(err)
				}
				if e.seconds < seconds {
					delete(model, i)
				}
				return
			}
			record(rt, f, dead(i, seconds))
			if !ok || e.seconds < seconds {
				versions++
				model[i] = entry{seconds, versions}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"change": change,
			"drain": func(rt *rapid.T) {
				given := maps.Clone(model)
				r := &reader{
					acknowledged: rapid.Bool().Draw(rt, "acknowledged"),
					confirmed:    rapid.Bool().Draw(rt, "confirmed"),
				}
				r.during = func([]byte) {
					for range rapid.IntRange(0, 3).Draw(rt, "changes") {
						change(rt)
					}
				}
				got := drain(rt, d, r)
				now = now.Add(10 * time.Second)
				if got.Tuples != len(given) {
					rt.Fatalf("got %+v of %d entries", got, len(given))
				}
				for i, e := range given {
					if !slices.Contains(r.tuples, pair(i, e.seconds)) {
						rt.Errorf("%s was not given", pair(i, e.seconds))
					}
				}
				var read map[int]entry
				switch got.Outcome {
				case store.Confirmed:
					read, acknowledged = given, nil
				case store.Empty:
					acknowledged = nil
				case store.Acknowledged:
					if acknowledged = append(acknowledged, given); len(acknowledged) == 3 {
						read, acknowledged = acknowledged[0], acknowledged[1:]
					}
				}
				maps.DeleteFunc(model, func(i int, e entry) bool { return e == read[i] })
			},
			"": func(rt *rapid.T) {
				var want []string
				for i, e := range model {
					want = append(want, pair(i, e.seconds))
				}
				slices.Sort(want)
				if got := list(rt, f); !slices.Equal(got, want) {
					rt.Fatalf("got %v on the list, want %v", got, want)
				}
			},
		})
	})
}

// A list as long as it may be is drained in pages.
func TestDrainLong(t *testing.T) {
	entries := 20_000
	if *long {
		entries = 1_000_000
	}
	f := open(t, t.TempDir()).Feedback()
	for i := 0; i < entries; i += 1000 {
		record(t, f, many(i, 1000)...)
	}
	r := &reader{acknowledged: true, confirmed: true}
	got := drain(t, store.NewDrainer(f, encode, time.Now), r)
	if got.Tuples != entries || got.Forgotten != entries {
		t.Errorf("got %+v, want %d tuples forgotten", got, entries)
	}
	if left := list(t, f); len(left) > 0 {
		t.Errorf("got %d entries left", len(left))
	}
}

// Settle waits for readers that have the whole list of their app, and for no others.
func TestSettle(t *testing.T) {
	s := open(t, t.TempDir())
	f := s.Feedback()
	if err := f.Record(ctx, app, many(1, 5)...); err != nil {
		t.Fatal(err)
	}
	d := store.NewDrainer(f, encode, time.Now)
	d.Settle(ctx, app) // no reader
	has, goes, drained := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r := &reader{acknowledged: true, confirmed: true, left: func() { close(has); <-goes }}
	go func() {
		defer close(drained)
		if _, err := d.Drain(ctx, client, app, r); err != nil {
			t.Error(err)
		}
	}()
	<-has
	d.Settle(ctx, "another")
	short, cancel := context.WithCancel(ctx)
	cancel()
	d.Settle(short, app)
	if n, err := f.Again(ctx, app); n != 0 || err != nil {
		t.Errorf("before it is known what was read: got %d and error %v", n, err)
	}
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		d.Settle(ctx, app)
		if n, err := f.Again(ctx, app); n != 5 || err != nil {
			t.Errorf("got %d and error %v, want 5", n, err)
		}
		again := &reader{}
		if _, err := d.Drain(ctx, client, app, again); err != nil || len(again.tuples) != 5 {
			t.Errorf("then it is given %d, with error %v", len(again.tuples), err)
		}
	}()
	select {
	case <-settled:
		t.Error("it is not waited for")
	case <-time.After(20 * time.Millisecond):
	}
	close(goes)
	<-settled
	<-drained
}
