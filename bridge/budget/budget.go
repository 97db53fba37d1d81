// Package budget bounds the bytes of all notifications without a verdict, of which each app
// has an account.
package budget

import (
	"sync"
	"sync/atomic"
)

// Budget is a bound over all notifications without a verdict.
// When it is used up, connections are not read further.
//
// A small share of it is each app's own and never used by another: an app whose
// verdicts do not come must not stop the others. With more than 16 apps these
// shares go a little beyond the bound.
type Budget struct {
	share  int64 // of one app
	common int64 // for what goes beyond the shares

	used   atomic.Int64 // in all
	beyond atomic.Int64 // of common

	mu      sync.Mutex
	parked  map[Waiter]struct{} // waiting for bytes
	waiting atomic.Int64        // len(parked)
}

// New makes a budget of so many bytes.
func New(limit int64) *Budget {
	const shares, parts = 16, 64
	share := limit / parts
	return &Budget{share: share, common: limit - shares*share, parked: make(map[Waiter]struct{})}
}

// Waiter is a session that waits for bytes.
type Waiter interface {
	Account() *Account // of its app
	Resume()           // there are plenty again
}

// Account is one app's part of the budget.
type Account struct {
	budget *Budget
	used   atomic.Int64
}

// Account makes the account of an app.
func (b *Budget) Account() *Account { return &Account{budget: b} }

// Used is how many bytes are used in all.
func (b *Budget) Used() int64 { return b.used.Load() }

// Add counts n bytes, or with n below 0 gives them back.
func (a *Account) Add(n int64) {
	used := a.used.Add(n)
	a.budget.used.Add(n)
	was := used - n
	if over := max(0, used-a.budget.share) - max(0, was-a.budget.share); over != 0 {
		a.budget.beyond.Add(over)
	}
}

// Room reports whether the app may take another notification.
func (a *Account) Room() bool {
	return a.used.Load() < a.budget.share || a.budget.beyond.Load() < a.budget.common
}

// Roomy reports whether less than half of what all apps share is used, or the app
// keeps to its own: what arrives need not go to disk.
func (a *Account) Roomy() bool {
	// What arrives counts already: the last for which there was room may go a little beyond.
	return a.used.Load() < 2*a.budget.share || a.budget.beyond.Load() < a.budget.common/2
}

// Spare reports whether there is room for a session that must not stop reading: it
// may go a quarter beyond the bound, while disk takes what waits.
func (a *Account) Spare() bool {
	return a.Room() || a.budget.beyond.Load() < a.budget.common+a.budget.common/4
}

// Plenty reports whether there is room enough to read on after there was none.
func (a *Account) Plenty() bool {
	return a.used.Load() < LowWater(a.budget.share) || a.budget.beyond.Load() < LowWater(a.budget.common)
}

// Park notes that s waits for bytes, unless there are plenty.
func (a *Account) Park(s Waiter) (parked bool) {
	b := a.budget
	b.mu.Lock()
	b.parked[s] = struct{}{}
	b.waiting.Store(int64(len(b.parked)))
	b.mu.Unlock()
	// Bytes given back before this line were given back without a look at s.
	if !a.Plenty() {
		return true
	}
	b.mu.Lock()
	delete(b.parked, s)
	b.waiting.Store(int64(len(b.parked)))
	b.mu.Unlock()
	return false
}

// Give gives n bytes back and wakes the sessions for which there is room now.
func (a *Account) Give(n int64) {
	a.Add(-n)
	b := a.budget
	// Where a's sessions find no room those of others have had it before. A
	// thousand of them are not looked at for each notification.
	if b.waiting.Load() == 0 || !a.Plenty() {
		return
	}
	var woken []Waiter
	b.mu.Lock()
	for s := range b.parked {
		if s.Account().Plenty() {
			woken = append(woken, s)
			delete(b.parked, s)
		}
	}
	b.waiting.Store(int64(len(b.parked)))
	b.mu.Unlock()
	for _, s := range woken {
		s.Resume()
	}
}

// LowWater is the mark below which reading begins again that stopped at limit. The
// distance keeps a connection from being parked and unparked for each notification.
func LowWater(limit int64) int64 { return limit * 3 / 4 }
