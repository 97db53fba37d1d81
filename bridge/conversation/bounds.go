package conversation

import "sync/atomic"

// What a remembered notification, an episode and a note take of a Budget, in
// bytes: their structs, their places in slices and maps, and what the allocator
// adds.
const (
	entryBytes   = 256
	episodeBytes = 512
	noteBytes    = 144
)

// Budget is memory that the ledgers of all clients share. Each of them has an
// equal share of it for itself: who holds more than that while there is too little
// gives the rest back at its next Tick. It may be used from several goroutines.
type Budget struct {
	limit   int64
	used    atomic.Int64
	holders atomic.Int64 // ledgers that hold some of it
}

// NewBudget is a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{limit: bytes} }

// Used is what is taken of the budget, in bytes. Until the next Tick of those who
// hold too much it may be over the limit, never over its double.
func (b *Budget) Used() int64 { return b.used.Load() }

// share is what each ledger may hold whatever the others do.
func (b *Budget) share() int64 { return b.limit / max(1, b.holders.Load()) }

// fits reports whether n more bytes may be taken by l.
func (l *Ledger) fits(n int64) bool {
	b := l.options.Budget
	return l.bytes+n <= l.options.Bytes && (b.used.Load()+n <= b.limit || l.bytes+n <= b.share())
}

// overdrawn reports whether l holds what is the share of another.
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

// makeRoom gives up the oldest until n more bytes fit, but for the episode keep. It
// reports whether they do.
func (l *Ledger) makeRoom(n int64, keep *episode) bool {
	for !l.fits(n) {
		if !l.evict(keep) {
			return false
		}
	}
	return true
}

// evict gives up the notes where they are many, or all there is; else the oldest entry, or if there is
// none the oldest episode that its provider has read, but for keep. What it was is
// doubled should it come again. It reports whether there was one.
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

// noteRoom reports whether there is room for a note: they leave seven eighths of it
// to what is remembered.
func (l *Ledger) noteRoom() bool {
	return int64(len(l.notes.ring)+1)*noteBytes <= l.options.Bytes/8 && l.fits(noteBytes)
}
