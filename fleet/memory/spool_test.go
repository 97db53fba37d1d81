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

// shared is a store of several machines in a file. Nobody reads or writes it while it is
// away, nor an app that is not owned.
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
	c := SpoolConfig{Shared: first, Local: openBolt(t).Spool(), May: func(string) bool { return true }, Patience: time.Second}
	if change != nil {
		change(&c)
	}
	return NewSpool(c), first
}

// put puts one record and gives its key.
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

// What cannot be put into what is shared goes behind it, and so does all that follows
// until nothing is there; what is shared comes first.
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
			t.Errorf("record %d has ID %x behind %x", i+1, k.ID, keys[max(i-1, 0)].ID)
		}
	}
	if s.Behind("mail") != 2 {
		t.Errorf("%d are behind", s.Behind("mail"))
	}
	s.Return(line, keys...)
	if s.Waiting(line) != 4 || !slices.Equal(s.Lines(), []store.Line{line}) {
		t.Errorf("waiting %d, lines %v", s.Waiting(line), s.Lines())
	}
	bodies, keys := takeAll(t, s)
	if fmt.Sprint(bodies) != "[1 2 3 4]" {
		t.Errorf("took %v", bodies)
	}
	s.Done(line, keys...)
	if k := put(t, s, "5"); isBehind(k.ID) {
		t.Error("nothing is behind, and a record goes there")
	}
}

// Of an app that is not here only what is the node's own is read, and what came from what
// is shared is nobody's business any more: it moves nowhere, and is no error.
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
	move := []store.SpoolRecord{{SpoolKey: store.SpoolKey{ID: held.ID, Queued: true, Token: held.Token}, Body: []byte("1")}}
	if err := s.Put(ctx, store.SpoolBatch{Line: line, Records: move}); err != nil {
		t.Error(err)
	}
	s.Return(line, held)
	k := put(t, s, "2")
	s.Return(line, k)
	if bodies, _ := takeAll(t, s); fmt.Sprint(bodies) != "[2]" {
		t.Errorf("took %v", bodies)
	}
}

// Behind its deadline a node reads nothing of what is shared, and does not wait for it.
func TestDeadline(t *testing.T) {
	may := true
	s, _ := newSpool(t, func(c *SpoolConfig) { c.May = func(string) bool { return may } })
	if err := s.Own(ctx, "mail", 1); err != nil {
		t.Fatal(err)
	}
	s.Return(line, put(t, s, "1"))
	may = false
	if bodies, _ := takeAll(t, s); len(bodies) > 0 || s.Waiting(line) > 0 {
		t.Errorf("took %v, waiting %d", bodies, s.Waiting(line))
	}
	k := put(t, s, "2")
	if !isBehind(k.ID) {
		t.Error("what comes goes into what is shared")
	}
	s.Return(line, k)
	may = true
	if bodies, _ := takeAll(t, s); fmt.Sprint(bodies) != "[1 2]" {
		t.Errorf("took %v", bodies)
	}
}

// What has to be committed is not put behind while the engine is away or nobody knows
// whose the app is; it is once the app was given.
func TestCommits(t *testing.T) {
	loose := false
	s, first := newSpool(t, func(c *SpoolConfig) { c.Commits, c.Loose = true, func(string) bool { return loose } })
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
	s.Disown("mail")
	loose = true
	refuses(errLoose)
	loose = false
	if k := put(t, s, "1"); !isBehind(k.ID) {
		t.Error("not behind")
	}
}

// failing is a list that can be away.
type failing struct {
	store.Feedback
	away bool
}

func (f *failing) Record(ctx context.Context, app string, dead ...store.Dead) error {
	if f.away {
		return errAway
	}
	return f.Feedback.Record(ctx, app, dead...)
}

func (f *failing) Revive(ctx context.Context, app string, token []byte, sent time.Time) error {
	if f.away {
		return errAway
	}
	return f.Feedback.Revive(ctx, app, token, sent)
}

// What a list that is away misses it is told when it is back.
func TestFeedbackAway(t *testing.T) {
	fleet := &failing{Feedback: openBolt(t).Feedback()}
	f := NewFeedback(FeedbackConfig{Shared: fleet, Own: openBolt(t).Feedback(), Apps: func() []string { return []string{"mail"} },
		Patience: time.Second})
	now := time.Now().Truncate(time.Millisecond).UTC()
	record := func(token string) {
		t.Helper()
		if err := f.Record(ctx, "mail", store.Dead{Token: []byte(token), Time: now}); err != nil {
			t.Fatal(err)
		}
	}
	record("one")
	fleet.away = true
	record("two")
	record("three")
	for _, token := range []string{"one", "two"} {
		if err := f.Revive(ctx, "mail", []byte(token), now.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if !f.Listed("mail", []byte("three")) {
		t.Error("what the node's own list has is not listed")
	}
	fleet.away = false
	f.HandOver(ctx)
	list, err := fleet.Pending(ctx, "mail", 0, 10)
	if err != nil || len(list) != 1 || string(list[0].Token) != "three" {
		t.Errorf("the fleet's list is %v, %v", list, err)
	}
}
