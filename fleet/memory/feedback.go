package memory

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/store"
)

// FeedbackConfig configures a Feedback.
type FeedbackConfig struct {
	Shared   store.Feedback
	Own      store.Feedback
	Apps     func() []string // the apps that Own may have entries of
	Patience time.Duration   // how long the shared list is waited for
	Retry    time.Duration   // how long the shared list is not asked after a failure
}

// Feedback implements store.Feedback with the shared lists. What cannot be written there is
// kept on the node's own list until it can.
type Feedback struct {
	FeedbackConfig
	away atomic.Int64 // the shared list is not asked before, in nanoseconds since 1970

	mu      sync.Mutex
	revived map[string]map[string]time.Time // by app and token to take off the list: when the push was sent
	count   int
}

// maxRevived is how many tokens are remembered that are to be taken off a list which cannot
// be reached. One beyond that is taken off with the next push to it that APNs accepts.
const maxRevived = 100_000

// NewFeedback returns a Feedback. Run hands over the node's own entries.
func NewFeedback(c FeedbackConfig) *Feedback {
	return &Feedback{FeedbackConfig: c, revived: make(map[string]map[string]time.Time)}
}

// ask calls do with the shared list, unless that has just failed. It reports whether do succeeded.
func (f *Feedback) ask(ctx context.Context, do func(context.Context) error) bool {
	now := time.Now().UnixNano()
	if now < f.away.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, f.Patience)
	defer cancel()
	err := do(ctx)
	if err != nil {
		f.away.Store(time.Now().Add(f.Retry).UnixNano())
	}
	return err == nil
}

// Record implements store.Feedback.
func (f *Feedback) Record(ctx context.Context, app string, dead ...store.Dead) error {
	if f.ask(ctx, func(ctx context.Context) error { return f.Shared.Record(ctx, app, dead...) }) {
		return nil
	}
	return f.Own.Record(ctx, app, dead...)
}

// Revive implements store.Feedback.
func (f *Feedback) Revive(ctx context.Context, app string, token []byte, sent time.Time) error {
	if f.Own.Listed(app, token) {
		if err := f.Own.Revive(ctx, app, token, sent); err != nil {
			return err
		}
	}
	if !f.Shared.Listed(app, token) ||
		f.ask(ctx, func(ctx context.Context) error { return f.Shared.Revive(ctx, app, token, sent) }) {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == maxRevived {
		return nil
	}
	if f.revived[app] == nil {
		f.revived[app] = make(map[string]time.Time)
	}
	if _, known := f.revived[app][string(token)]; !known {
		f.count++
	}
	f.revived[app][string(token)] = sent
	return nil
}

// Listed implements store.Feedback.
func (f *Feedback) Listed(app string, token []byte) bool {
	return f.Shared.Listed(app, token) || f.Own.Listed(app, token)
}

// Revision implements store.Feedback.
func (f *Feedback) Revision(ctx context.Context, app string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, f.Patience)
	defer cancel()
	return f.Shared.Revision(ctx, app)
}

// Pending implements store.Feedback.
func (f *Feedback) Pending(ctx context.Context, app string, after uint64, limit int) ([]store.Dead, error) {
	ctx, cancel := context.WithTimeout(ctx, f.Patience)
	defer cancel()
	return f.Shared.Pending(ctx, app, after, limit)
}

// Forget implements store.Feedback.
func (f *Feedback) Forget(ctx context.Context, app string, dead ...store.Dead) error {
	ctx, cancel := context.WithTimeout(ctx, f.Patience)
	defer cancel()
	return f.Shared.Forget(ctx, app, dead...)
}

// Again implements store.Feedback.
func (f *Feedback) Again(ctx context.Context, app string) (int, error) {
	return f.Shared.Again(ctx, app)
}

// Run hands over the node's own entries at intervals of each, until ctx ends.
func (f *Feedback) Run(ctx context.Context, each time.Duration) {
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.HandOver(ctx)
		}
	}
}

const handOverLen = 1000 // entries at a time

// HandOver moves as many of the node's own entries to the shared list as it can.
func (f *Feedback) HandOver(ctx context.Context) {
	f.handOverRevived(ctx)
	for _, app := range f.Apps() {
		for {
			dead, err := f.Own.Pending(ctx, app, 0, handOverLen)
			if err != nil || len(dead) == 0 {
				break
			}
			if !f.ask(ctx, func(ctx context.Context) error { return f.Shared.Record(ctx, app, dead...) }) ||
				f.Own.Forget(ctx, app, dead...) != nil {
				return
			}
		}
	}
}

func (f *Feedback) handOverRevived(ctx context.Context) {
	f.mu.Lock()
	revived := f.revived
	f.revived, f.count = make(map[string]map[string]time.Time), 0
	f.mu.Unlock()
	for app, tokens := range revived {
		for token, sent := range tokens {
			_ = f.Revive(ctx, app, []byte(token), sent) // if it fails, Revive remembers it again
		}
	}
}
