package conversation

import "sync/atomic"

// What a remembered notification, an episode and a note take of a Budget, in
// bytes: their structs, their places in slices and maps, and what the allocator
// adds.
const (
	entryBytes   = 256
	episodeBytes = 384
	noteBytes    = 48
)

// Budget is memory that the ledgers of all clients share. It may be used from
// several goroutines.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget is a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{limit: bytes} }

// Used is what is taken of the budget, in bytes.
func (b *Budget) Used() int64 { return b.used.Load() }

// fits says whether n more bytes may be taken by l.
func (l *Ledger) fits(n int64) bool {
	return l.bytes+n <= l.options.Bytes && l.options.Budget.used.Load()+n <= l.options.Budget.limit
}

func (l *Ledger) account(n int64) {
	l.bytes += n
	l.options.Budget.used.Add(n)
}

// makeRoom gives up the oldest entries until one more fits. It says whether
// there is room: another client may have it all.
func (l *Ledger) makeRoom() bool {
	for !l.fits(entryBytes) {
		if l.live.oldest == nil {
			return false
		}
		l.stats.Evicted++
		l.giveUp(l.live.oldest)
	}
	return true
}

// discards says that there is no room to remember what a provider of the kind h
// will send again anyway: it need not be delivered yet.
func (l *Ledger) discards(h *habit) bool {
	return h.resends && !l.fits(entryBytes)
}
