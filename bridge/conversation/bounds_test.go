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

// defaultOptions returns the options of a client without a store, with a budget of its own.
func defaultOptions() Options {
	return Options{
		Budget: NewBudget(defaults.LedgerBytes), Bytes: defaults.LedgerBytesPerClient,
		Life: defaults.LedgerTTL, ProvenLife: defaults.LedgerTTLProven,
	}
}

// small returns options with room for the given numbers of entries and episodes.
func small(entries, episodes int) Options {
	o := defaultOptions()
	o.Client = "client"
	o.Bytes = int64(entries)*entryBytes + int64(episodes)*episodeBytes
	return o
}

// When memory runs out, the oldest entry is given up. If its notification is sent again, it
// is delivered twice, and nothing is lost.
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

// If an evicted entry was refused, no provider will be told: its token goes to the feedback list.
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

// A proven resender may have kept less than a packet asks it to send again. Everything is
// delivered all the same, and the oldest entries make way.
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

// When no entry is left to give up, the oldest episode ends. Its provider is not known to
// have read the packet, so the bad token goes to the feedback list.
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

// Each client is entitled to an equal share of the common budget; one that holds more gives
// back the excess.
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
		t.Errorf("got %d evicted within the client's own share, want 0", got)
	}
	first.wait("1ms")
	if st := first.ledger.Stats(); st.Evicted != 1 || st.Entries != 1 || budget.Used() > budget.limit {
		t.Errorf("got %d evicted and %d left from the client over its share, and %d bytes in use; want 1, 1 and at most %d",
			st.Evicted, st.Entries, budget.Used(), budget.limit)
	}
	for _, s := range []*script{first, second} {
		s.do(strings.Fields("A ends heard"))
		s.do(strings.Fields("A closes"))
		s.wait("30m")
	}
	if got := budget.Used(); got != 0 || budget.holders.Load() != 0 {
		t.Errorf("got %d bytes still held by %d ledgers, want 0", got, budget.holders.Load())
	}
}

// A hostile client may use ever new frame layouts, each of which is another kind: their number is bounded.
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

// An entry takes no more memory than the Budget is charged for it.
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
