package bridge

import (
	"sync"
	"sync/atomic"
)

// budget is the bound queued_bytes over all notifications without a verdict.
// When it is used up, connections are not read further.
//
// A small share of it is each app's own and never used by another: an app whose
// verdicts do not come must not stop the others. With more than 16 apps these
// shares go a little beyond the bound.
type budget struct {
	share  int64 // of one app
	common int64 // for what goes beyond the shares

	used   atomic.Int64 // in all
	beyond atomic.Int64 // of common

	mu      sync.Mutex
	parked  map[*Session]struct{} // waiting for bytes
	waiting atomic.Int64          // len(parked)
}

func newBudget(limit int64) *budget {
	const shares, parts = 16, 64
	share := limit / parts
	return &budget{share: share, common: limit - shares*share, parked: make(map[*Session]struct{})}
}

// account is one app's part of the budget.
type account struct {
	budget *budget
	used   atomic.Int64
}

// add counts n bytes, or with n below 0 gives them back.
func (a *account) add(n int64) {
	used := a.used.Add(n)
	a.budget.used.Add(n)
	was := used - n
	if over := max(0, used-a.budget.share) - max(0, was-a.budget.share); over != 0 {
		a.budget.beyond.Add(over)
	}
}

// room reports whether the app may take another notification.
func (a *account) room() bool {
	return a.used.Load() < a.budget.share || a.budget.beyond.Load() < a.budget.common
}

// roomy reports whether less than half of what all apps share is used, or the app
// keeps to its own: what arrives need not go to disk.
func (a *account) roomy() bool {
	// What arrives counts already: the last for which there was room may go a little beyond.
	return a.used.Load() < 2*a.budget.share || a.budget.beyond.Load() < a.budget.common/2
}

// spare reports whether there is room for a session that must not stop reading: it
// may go a quarter beyond the bound, while disk takes what waits.
func (a *account) spare() bool {
	return a.room() || a.budget.beyond.Load() < a.budget.common+a.budget.common/4
}

// plenty reports whether there is room enough to read on after there was none.
func (a *account) plenty() bool {
	return a.used.Load() < lowWater(a.budget.share) || a.budget.beyond.Load() < lowWater(a.budget.common)
}

// park notes that s waits for bytes, unless there are plenty.
func (a *account) park(s *Session) (parked bool) {
	b := a.budget
	b.mu.Lock()
	b.parked[s] = struct{}{}
	b.waiting.Store(int64(len(b.parked)))
	b.mu.Unlock()
	// Bytes given back before this line were given back without a look at s.
	if !a.plenty() {
		return true
	}
	b.mu.Lock()
	delete(b.parked, s)
	b.waiting.Store(int64(len(b.parked)))
	b.mu.Unlock()
	return false
}

// give gives n bytes back and wakes the sessions for which there is room now.
func (a *account) give(n int64) {
	a.add(-n)
	b := a.budget
	// Where a's sessions find no room those of others have had it before. Nobody
	// looks at a thousand of them for each notification.
	if b.waiting.Load() == 0 || !a.plenty() {
		return
	}
	var woken []*Session
	b.mu.Lock()
	for s := range b.parked {
		if s.app.account.plenty() {
			woken = append(woken, s)
			delete(b.parked, s)
		}
	}
	b.waiting.Store(int64(len(b.parked)))
	b.mu.Unlock()
	for _, s := range woken {
		s.resume()
	}
}
