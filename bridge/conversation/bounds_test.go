package conversation

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/defaults"
)

// defaultOptions are those of a client without store, with a budget of its own.
func defaultOptions() Options {
	return Options{
		Budget: NewBudget(defaults.LedgerBytes), Bytes: defaults.LedgerBytesPerClient,
		Life: defaults.LedgerTTL, ProvenLife: defaults.LedgerTTLProven,
	}
}

// small has room for so many entries beside its episodes.
func small(entries, episodes int) Options {
	o := defaultOptions()
	o.Client = "client"
	o.Bytes = int64(entries)*entryBytes + int64(episodes)*episodeBytes
	return o
}

// Without room the oldest entry makes way for an unknown provider: its resend
// is doubled, and nothing is lost.
func TestBoundsEvict(t *testing.T) {
	s := playWith(t, small(2, 1), `
		open A
		A 1 x
		A 2 a
		A 3 b
		A bad x    -> packet A 8 1
		A 4 c
		A ok a
		A ok b
		A ok c
		open B
		B 2 a
		B 3 b      -> swallow
		B 4 c      -> swallow
	`)
	if got := s.ledger.Stats().Evicted; got != 1 {
		t.Errorf("got %d evicted, want 1", got)
	}
}

// What is evicted was perhaps refused: then its token has nobody to tell.
func TestBoundsEvictRefused(t *testing.T) {
	playWith(t, small(2, 1), `
		open A
		A 1 x
		A 2 y
		A 3 b
		A bad x    -> packet A 8 1
		A bad y
		A 4 c      -> feedback y
		A 5 z
		A bad b    -> feedback b
		A bad z
		A 6 w
		A 7 v      -> feedback z
	`)
}

// A proven resender may keep less than it is told to send again: all of it is
// delivered, and the oldest make way.
func TestBoundsProven(t *testing.T) {
	s := playWith(t, small(4, 1), `
		open A
		A 1 x
		A 2 a
		A 3 b
		A 4 c
		A bad x    -> packet A 8 1
		A ok a
		A ok b
		A ok c
		open B
		B 2 a      -> swallow
		B 3 b      -> swallow
		B 4 c      -> swallow
		A ends heard
		A closes
		wait 10m
		B 5 y
		B bad y    -> packet B 8 5
		B 6 d
		B 7 e
		B 8 f
		B 9 g
		B 10 h
		B ok d
		B ok e
		B ok f
		B ok g
		B ok h
		open C
		C 6 d
		C 8 f      -> swallow
		C 9 g      -> swallow
		C 10 h     -> swallow
	`)
	if st := s.ledger.Stats(); st.Evicted != 1 || st.Entries != 1 {
		t.Errorf("got %d evicted and %d left, want 1 and 1", st.Evicted, st.Entries)
	}
}

// Without an entry left to give up, the oldest episode goes: its bad token is not
// known to have been read.
func TestBoundsEpisodes(t *testing.T) {
	playWith(t, small(0, 1), `
		open A
		A 1 x
		A bad x      -> packet A 8 1
		A ends heard
		A closes
		open B
		B 1 y
		B bad y      -> feedback x, packet B 8 1
	`)
}

// Each client has a share of what all of them have: who has taken more gives the
// rest back.
func TestBoundsShared(t *testing.T) {
	budget := NewBudget(2*entryBytes + 2*episodeBytes)
	o := defaultOptions()
	o.Client, o.Budget = "client", budget
	first := playWith(t, o, `
		open A
		A 1 x
		A 2 a
		A 3 b
		A bad x    -> packet A 8 1
		A ok a
		A ok b
	`)
	second := playWith(t, o, `
		open A
		A 1 x
		A 2 a
		A bad x    -> packet A 8 1
		A ok a
		open B
		B 2 a      -> swallow
		B 3 b
		A 4 c
		A ok c
	`)
	if got := second.ledger.Stats().Evicted; got != 0 {
		t.Errorf("got %d evicted of what is the client's own, want 0", got)
	}
	first.wait("1ms")
	if st := first.ledger.Stats(); st.Evicted != 1 || st.Entries != 1 || budget.Used() > budget.limit {
		t.Errorf("got %d evicted and %d left of who has taken too much, and %d bytes in use; want 1, 1 and at most %d",
			st.Evicted, st.Entries, budget.Used(), budget.limit)
	}
	for _, s := range []*script{first, second} {
		s.do(strings.Fields("A ends heard"))
		s.do(strings.Fields("A closes"))
		s.wait("30m")
	}
	if got := budget.Used(); got != 0 || budget.holders.Load() != 0 {
		t.Errorf("got %d bytes still taken by %d, want 0", got, budget.holders.Load())
	}
}

// The connections of a hostile client make kinds without end.
func TestBoundsKinds(t *testing.T) {
	now := time.Now()
	l := New(defaultOptions(), now)
	failing := l.Open(home, true, now)
	s, _ := failing.Take(word("x"), Frame{HasIdentifier: true}, now)
	failing.Refuse(s, 8, "", now)
	c := l.Open(home, true, now)
	for i := range 3 * maxKinds {
		c.Take(word("a"), Frame{Identifier: uint32(i), HasIdentifier: true, Layout: binproto.Layout(i)}, now)
	}
	if got := l.Stats().Kinds; got > maxKinds {
		t.Errorf("got %d kinds, want at most %d", got, maxKinds)
	}
}

// What a Budget is told of an entry is not less than what one takes.
func TestEntryBytes(t *testing.T) {
	const entries = 20_000
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	now := time.Now()
	l := New(defaultOptions(), now)
	c := l.Open(home, true, now)
	take := func(i int) Seq {
		s, _ := c.Take(word(fmt.Sprint(i, rand.Uint64())), Frame{Identifier: uint32(i), HasIdentifier: true}, now)
		return s
	}
	c.Refuse(take(0), 8, "", now)
	before := heap()
	for i := range entries {
		c.Settle(take(i+1), Accepted, now)
		for _, ok := l.Next(); ok; _, ok = l.Next() {
		}
	}
	got := heap() - before
	if s := l.Stats(); s.Entries != entries || got > s.Bytes {
		t.Errorf("%d entries take %d bytes each, want at most %d", s.Entries, got/entries, entryBytes)
	}
	t.Logf("%d bytes an entry", got/entries)
	runtime.KeepAlive(c)
}
