package bridge

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/store"
)

// Feedback is the list of dead devices as the bridge needs it: the part of
// store.Feedback that writes.
type Feedback interface {
	Record(ctx context.Context, app string, dead ...store.Dead) error
	Revive(ctx context.Context, app string, token []byte, sent time.Time) error
	Listed(app string, token []byte) bool
}

// feedbackBatch is the most entries that go to the store in one call.
const feedbackBatch = 1000

// feedback carries dead devices to the store, in batches of whatever came during
// the last one, and takes those off the list that have come back. The record of
// such a push settles only when the store has it: so nothing is lost, and a slow
// store fills windows, not memory.
type feedback struct {
	store Feedback
	delay time.Duration // after an error, before the next attempt
	log   zerolog.Logger
	wake  chan struct{}

	mu    sync.Mutex
	queue []*record
	spare []*record // the last batch's memory
}

func newFeedback(s Feedback, delay time.Duration, log zerolog.Logger) *feedback {
	return &feedback{store: s, delay: delay, log: log, wake: make(chan struct{}, 1)}
}

// dead puts the device of r on the list as of the time at, and then lets r
// settle.
func (f *feedback) dead(r *record, at time.Time) {
	r.dead = at
	f.add(r)
}

// alive takes the device of r, a push that was accepted, off the list, and then
// lets r settle. It says whether that is needed.
func (f *feedback) alive(r *record) bool {
	if !f.store.Listed(r.session.app.name, r.token()) {
		return false
	}
	r.dead = time.Time{}
	f.add(r)
	return true
}

func (f *feedback) add(r *record) {
	f.mu.Lock()
	f.queue = append(f.queue, r)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feedback) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.queue)
}

// run writes until ctx ends and nothing is left that the store still takes.
func (f *feedback) run(ctx context.Context) {
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
		}
		f.mu.Lock()
		batch := f.queue
		f.queue = f.spare[:0]
		f.mu.Unlock()
		f.write(ctx, batch)
		clear(batch)
		f.spare = batch
		if ctx.Err() != nil && f.len() == 0 {
			return
		}
	}
}

// write stores a batch in its order, what is alike in one call.
func (f *feedback) write(ctx context.Context, batch []*record) {
	dead := make([]store.Dead, 0, min(len(batch), feedbackBatch))
	for len(batch) > 0 {
		n, app := 0, batch[0].session.app
		dead = dead[:0]
		for n < len(batch) && n < feedbackBatch && batch[n].session.app == app && !batch[n].dead.IsZero() {
			dead = append(dead, store.Dead{Token: batch[n].token(), Time: batch[n].dead})
			n++
		}
		stored := f.persist(ctx, app, func(ctx context.Context) error {
			if n > 0 {
				return f.store.Record(ctx, app.name, dead...)
			}
			return f.store.Revive(ctx, app.name, batch[0].token(), batch[0].sent)
		})
		switch {
		case !stored:
			app.counters.feedbackLost.Add(uint64(max(n, 1)))
		case n == 0:
			app.counters.revived.Add(1)
		default:
			app.counters.feedback.Add(uint64(n))
		}
		n = max(n, 1)
		for _, r := range batch[:n] {
			r.session.recorded(r)
		}
		batch = batch[n:]
	}
}

// persist tries until the store does what it is asked; once ctx has ended, one
// last time.
func (f *feedback) persist(ctx context.Context, app *app, do func(context.Context) error) (done bool) {
	for {
		last := ctx.Err() != nil
		err := do(context.WithoutCancel(ctx))
		if err == nil {
			return true
		}
		f.log.Error().Err(err).Str("app", app.name).Msg("the feedback list could not be written")
		if last {
			return false
		}
		select {
		case <-ctx.Done():
		case <-time.After(f.delay):
		}
	}
}
