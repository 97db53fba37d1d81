package pgstore

import (
	"fmt"
	"testing"
	"time"

	"apnsbridge/store"
)

func dead(i, ms int) store.Dead {
	return store.Dead{Token: fmt.Append(nil, "token ", i), Time: fromMillis(int64(ms))}
}

func record(t testing.TB, s *Store, dead ...store.Dead) {
	t.Helper()
	if err := s.Feedback().Record(ctx, "mail", dead...); err != nil {
		t.Fatal(err)
	}
}

// A node learns what other nodes have listed, and finds out what they have revived.
func TestFollow(t *testing.T) {
	t.Parallel()
	c := newSchema(t)
	here := open(t, c)
	c.Node, c.Follow = "gw2", 5*time.Millisecond
	there := open(t, c)
	record(t, here, dead(1, 1), dead(2, 2))
	for i := 1; i <= 2; i++ {
		for deadline := time.Now().Add(patience); !there.Feedback().Listed("mail",
			dead(i, 0).Token); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the other node never learned that device %d is listed", i)
			}
		}
	}
	if err := there.Feedback().Revive(ctx, "mail", dead(1, 0).Token, fromMillis(9)); err != nil {
		t.Fatal(err)
	}
	list, err := here.Feedback().Pending(ctx, "mail", 0, 9)
	if err != nil || len(list) != 1 || string(list[0].Token) != "token 2" {
		t.Errorf("got %v and error %v, want device 2 alone", list, err)
	}
	// This node still believes that device 1 is listed: that costs a query, which sets it right.
	if err := here.Feedback().Revive(ctx, "mail", dead(1, 0).Token, fromMillis(9)); err != nil {
		t.Error(err)
	}
	record(t, here, dead(1, 20))
	if list, _ := there.Feedback().Pending(ctx, "mail", 0, 9); len(list) != 2 {
		t.Errorf("got %v, want both devices", list)
	}
}

// Recording what is no news needs no query: it succeeds though the engine is away.
func TestNoNews(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	c := newSchema(t)
	c.FeedbackAge, c.Now = 10*time.Hour, func() time.Time { return now }
	s := open(t, c)
	record(t, s, dead(1, 5), dead(2, 5))
	s = open(t, c) // which loads the list from the engine
	s.engine.pool.Close()
	record(t, s, dead(1, 5), dead(2, 4))
	for _, news := range []store.Dead{dead(1, 6), dead(3, 1)} {
		if err := s.Feedback().Record(ctx, "mail", news); err == nil {
			t.Errorf("%s of %v, which is news: got no error without an engine", news.Token, news.Time)
		}
	}
	now = now.Add(11 * time.Hour)
	if err := s.Feedback().Record(ctx, "mail", dead(1, 5)); err == nil {
		t.Error("an entry that was listed too long ago: got no error without an engine")
	}
}

// A stamp gives back what was put into it.
func TestStamp(t *testing.T) {
	for _, found := range []int64{0, 1, 1_800_000_000_123, 1<<32*1000 - 1} {
		since := int64(1_800_000_000_000)
		got := stamp(found, since)
		if int64(got>>stampHours) != found || int64(got&(1<<stampHours-1)) != since/3_600_000 {
			t.Errorf("found %d, listed %d: got stamp %x", found, since, got)
		}
	}
}

// The cost of a change depends on what it changes, not on the length of the list.
func BenchmarkRecord(b *testing.B) {
	s := open(b, newSchema(b))
	var page []store.Dead
	for i := range 10_000 {
		page = append(page, dead(i, i))
	}
	record(b, s, page...)
	i := 10_000
	for b.Loop() {
		record(b, s, dead(i, i))
		i++
	}
}
