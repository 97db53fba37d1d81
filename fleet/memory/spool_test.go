package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

var (
	ctx     = context.Background()
	line    = store.Line{App: "mail", Environment: "production"}
	errAway = errors.New("the engine is away")
)

// shared stands for the spool of the fleet's store, with a file in place of a server. It cannot be
// read or written while it is away, nor for an app that is not owned.
type shared struct {
	store.Spool
	owned, away bool
}

func (s *shared) Own(context.Context, string, uint64) error { s.owned = true; return nil }
func (s *shared) Disown(string)                             { s.owned = false }

func (s *shared) Put(ctx context.Context, batches ...store.SpoolBatch) error {
	switch {
	case s.away:
		return errAway
	case !s.owned:
		return store.ErrNotOurs
	}
	return s.Spool.Put(ctx, batches...)
}

func (s *shared) Take(ctx context.Context, l store.Line, limit int, size int64) ([]store.SpoolRecord, error) {
	if s.away {
		return nil, errAway
	}
	return s.Spool.Take(ctx, l, limit, size)
}

func (s *shared) Waiting(l store.Line) int {
	if !s.owned {
		return 0
	}
	return s.Spool.Waiting(l)
}

func openBolt(t *testing.T) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newSpool(t *testing.T, change func(*SpoolConfig)) (*Spool, *shared) {
	t.Helper()
	first := &shared{Spool: openBolt(t).Spool()}
	c := SpoolConfig{Shared: first, Local: openBolt(t).Spool(), May: func(string) bool { return true },
		Gives: func(string) bool { return false }, Patience: time.Second}
	if change != nil {
		change(&c)
	}
	return NewSpool(c), first
}

// put puts one record and returns its key.
func put(t *testing.T, s *Spool, body string) store.SpoolKey {
	t.Helper()
	records := []store.SpoolRecord{{SpoolKey: store.SpoolKey{Token: []byte(body)}, Body: []byte(body)}}
	if err := s.Put(ctx, store.SpoolBatch{Line: line, Records: records}); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return records[0].SpoolKey
}

func takeAll(t *testing.T, s *Spool) (bodies []string, keys []store.SpoolKey) {
	t.Helper()
	for {
		records, err := s.Take(ctx, line, 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			return bodies, keys
		}
		for _, r := range records {
			bodies, keys = append(bodies, string(r.Body)), append(keys, r.SpoolKey)
		}
	}
}

// Records that cannot be put into the shared spool go behind it, and so do all that follow until
// none are left there; the shared ones are taken first.
func TestBehind(t *testing.T) {
	s, first := newSpool(t, nil)
	if err := s.Own(ctx, "mail", 1); err != nil {
		t.Fatal(err)
	}
	var keys []store.SpoolKey
	keys = append(keys, put(t, s, "1"), put(t, s, "2"))
	first.away = true
	keys = append(keys, put(t, s, "3"))
	first.away = false
	keys = append(keys, put(t, s, "4"))
	for i, k := range keys {
		if isBehind(k.ID) != (i >= 2) || i > 0 && k.ID <= keys[i-1].ID {
			t.Errorf("record %d has ID %x after %x: wrong spool or order", i+1, k.ID, keys[max(i-1, 0)].ID)
		}
	}
	if s.Behind("mail") != 2 {
		t.Errorf("%d records are behind, want 2", s.Behind("mail"))
	}
	s.Return(line, keys...)
	if s.Waiting(line) != 4 || !slices.Equal(s.Lines(), []store.Line{line}) {
		t.Errorf("got %d waiting and lines %v, want 4 in one line", s.Waiting(line), s.Lines())
	}
	bodies, keys := takeAll(t, s)
	if fmt.Sprint(bodies) != "[1 2 3 4]" {
		t.Errorf("took %v, want 1 to 4 in order", bodies)
	}
	s.Done(line, keys...)
	if k := put(t, s, "5"); isBehind(k.ID) {
		t.Error("nothing is behind, yet a new record goes there")
	}
}

// Of an app that is not here only the node's own records are read. Moving or returning a record
// that came from the shared spool then does nothing, and is not an error.
func TestDisowned(t *testing.T) {
	s, _ := newSpool(t, nil)
	put(t, s, "0") // before the app was ever here
	if err := s.Own(ctx, "mail", 1); err != nil {
		t.Fatal(err)
	}
	_, _ = takeAll(t, s)
	s.Done(line, store.SpoolKey{ID: behindBit | 1})
	held := put(t, s, "1")
	s.Disown("mail")
	key := store.SpoolKey{ID: held.ID, Queued: true, Token: held.Token}
	move := []store.SpoolRecord{{SpoolKey: key, Body: []byte("1")}}
	if err := s.Put(ctx, store.SpoolBatch{Line: line, Records: move}); err != nil {
		t.Error(err)
	}
	s.Return(line, held)
	k := put(t, s, "2")
	s.Return(line, k)
	if bodies, _ := takeAll(t, s); fmt.Sprint(bodies) != "[2]" {
		t.Errorf("took %v, want 2 alone", bodies)
	}
}

// After its deadline a node reads nothing from the shared spool, and does not wait for it.
func TestDeadline(t *testing.T) {
	may := true
	s, _ := newSpool(t, func(c *SpoolConfig) { c.May = func(string) bool { return may } })
	if err := s.Own(ctx, "mail", 1); err != nil {
		t.Fatal(err)
	}
	s.Return(line, put(t, s, "1"))
	may = false
	if bodies, _ := takeAll(t, s); len(bodies) > 0 || s.Waiting(line) > 0 {
		t.Errorf("took %v and got %d waiting, want nothing", bodies, s.Waiting(line))
	}
	k := put(t, s, "2")
	if !isBehind(k.ID) {
		t.Error("a new record goes into the shared spool after the deadline")
	}
	s.Return(line, k)
	may = true
	if bodies, _ := takeAll(t, s); fmt.Sprint(bodies) != "[1 2]" {
		t.Errorf("took %v, want 1 and 2", bodies)
	}
}

// With Commits, records are refused while the engine is away or it is not known which node has the
// app. While the app is being given and the engine is away they do go behind, and are handed over.
func TestCommits(t *testing.T) {
	loose, may, gives := false, true, false
	s, first := newSpool(t, func(c *SpoolConfig) {
		c.Commits, c.Loose, c.May = true, func(string) bool { return loose }, func(string) bool { return may }
		c.Gives = func(string) bool { return gives }
	})
	refuses := func(why error) {
		t.Helper()
		records := []store.SpoolRecord{{SpoolKey: store.SpoolKey{Token: []byte("x")}}}
		if err := s.Put(ctx, store.SpoolBatch{Line: line, Records: records}); !errors.Is(err, why) {
			t.Errorf("got %v, want %v", err, why)
		}
	}
	if err := s.Own(ctx, "mail", 1); err != nil {
		t.Fatal(err)
	}
	first.away = true
	refuses(errAway)
	may, gives = false, true
	k := put(t, s, "0")
	if !isBehind(k.ID) {
		t.Error("a record that comes while the app is given and the engine is away does not go behind")
	}
	first.away = false
	s.Return(line, k)
	if err := s.HandOver(ctx, "mail"); err != nil || first.Waiting(line) != 1 || s.Behind("mail") != 0 {
		t.Errorf("%d are handed over and %d are not, want 1 and 0: %v", first.Waiting(line), s.Behind("mail"), err)
	}
	s.Disown("mail")
	gives, loose = false, true
	refuses(errLoose)
	loose = false
	if k := put(t, s, "1"); !isBehind(k.ID) {
		t.Error("a record of an app that is not here does not go behind")
	}
}

// While an app is being given, new records go straight to where the next owner finds them, and are
// not read here. If there are records of the node's own, new ones stay behind those.
func TestGiven(t *testing.T) {
	for _, commits := range []bool{false, true} {
		may, gives := true, false
		s, first := newSpool(t, func(c *SpoolConfig) {
			c.Commits, c.Loose = commits, func(string) bool { return false }
			c.May, c.Gives = func(string) bool { return may }, func(string) bool { return gives }
		})
		if err := s.Own(ctx, "mail", 1); err != nil {
			t.Fatal(err)
		}
		may, gives = false, true
		k := put(t, s, "0")
		s.Return(line, k)
		if bodies, _ := takeAll(t, s); isBehind(k.ID) || len(bodies) > 0 {
			t.Errorf("commits %t: behind %t and read %q, want neither", commits, isBehind(k.ID), bodies)
		}
		gives = false // as when the node has lost its lease or has not taken the app yet
		if !commits {
			s.Return(line, put(t, s, "1"))
			gives = true
			k := put(t, s, "2")
			if s.Return(line, k); !isBehind(k.ID) {
				t.Error("a record overtakes those that came earlier")
			}
			if err := s.HandOver(ctx, "mail"); err != nil || first.Waiting(line) != 3 {
				t.Errorf("%d are in the shared spool, want 3: %v", first.Waiting(line), err)
			}
		}
	}
}
