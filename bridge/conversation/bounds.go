package conversation

import "sync/atomic"

// What a remembered notification, an episode and a note cost a Budget, in bytes: their
// structs, their places in slices and maps, and what the allocator adds.
const (
	entryBytes   = 256
	episodeBytes = 576
	noteBytes    = 144
)

// Budget is memory that the ledgers of all clients share. Each of them is entitled to an
// equal share: a ledger that holds more than that while there is too little gives the
// rest back at its next Tick. A Budget may be used from several goroutines.
type Budget struct {
	limit   int64
	used    atomic.Int64
	holders atomic.Int64 // ledgers that hold some of it
}

// NewBudget makes a budget of that many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{limit: bytes} }

// Used is how many bytes of the budget are taken. It may exceed the limit until the next
// Tick of the ledgers that hold too much, but never by more than the limit again.
func (b *Budget) Used() int64 { return b.used.Load() }

// share is what each ledger may hold, whatever the others hold.
func (b *Budget) share() int64 { return b.limit / max(1, b.holders.Load()) }

// fits reports whether l may take n more bytes.
func (l *Ledger) fits(n int64) bool {
	b := l.options.Budget
	return l.bytes+n <= l.options.Bytes && (b.used.Load()+n <= b.limit || l.bytes+n <= b.share())
}

// overdrawn reports whether l holds a part of the shares of others.
func (l *Ledger) overdrawn() bool {
	b := l.options.Budget
	return b.used.Load() > b.limit && l.bytes > b.share()
}

func (l *Ledger) account(n int64) {
	b := l.options.Budget
	was := l.bytes
	l.bytes += n
	b.used.Add(n)
	switch {
	case was == 0 && l.bytes > 0:
		b.holders.Add(1)
	case was > 0 && l.bytes == 0:
		b.holders.Add(-1)
	}
}

// makeRoom gives up what is oldest until n more bytes fit, but not the episode keep. It
// reports whether they fit.
func (l *Ledger) makeRoom(n int64, keep *episode) bool {
	for !l.fits(n) {
		if !l.evict(keep) {
			return false
		}
	}
	return true
}

// evict gives up the notes if they are many, or all that there is; else the oldest entry; if
// there is none, the oldest episode that its provider may have read, except keep. What is
// given up is delivered twice should it come again. evict reports whether there was anything
// to give up.
func (l *Ledger) evict(keep *episode) bool {
	if notes := noteBytes * int64(len(l.notes.ring)); notes > l.bytes/8 || notes > 0 && l.live.oldest == nil {
		l.account(-noteBytes * int64(l.notes.clear()))
		return true
	}
	if e := l.live.oldest; e != nil {
		l.stats.Evicted++
		e.episode.excused++
		l.giveUp(e)
		return true
	}
	for _, e := range l.episodes {
		if e != keep && e.stage > unheard && e.pending == 0 {
			l.end(e, crowded)
			return true
		}
	}
	return false
}

// noteRoom reports whether there is room for a note: notes leave seven eighths of the room to
// what is remembered.
func (l *Ledger) noteRoom() bool {
	return int64(len(l.notes.ring)+1)*noteBytes <= l.options.Bytes/8 && l.fits(noteBytes)
}
