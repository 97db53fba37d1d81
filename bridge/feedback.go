package bridge

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/lane"
	"apnsbridge/pace"
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
	fault *pace.Fault
	wake  chan struct{}

	mu    sync.Mutex
	queue []feedbackEntry
	spare []feedbackEntry // the last batch's memory
}

// feedbackEntry is one change of an app's list.
type feedbackEntry struct {
	app   *app
	token []byte
	at    time.Time // since when the device is dead; or when the push was sent that proves it alive
	alive bool
	doubt bool // the token was refused: the app may be to blame

	waits   *notification // that settles when this is stored; nil: none does
	outcome conversation.Outcome
}

func newFeedback(s Feedback, delay time.Duration, log zerolog.Logger) *feedback {
	return &feedback{store: s, delay: delay, log: log, wake: make(chan struct{}, 1),
		fault: pace.NewFault(log, time.Now, "the feedback list cannot be written: it is tried again until it can",
			"the feedback list can be written again")}
}

// dead puts the device of n on the list as of the time at, and then lets n
// settle.
func (f *feedback) dead(n *notification, at time.Time) {
	f.add(feedbackEntry{app: n.lane.app, token: n.Token(), at: at, waits: n, outcome: conversation.Gone})
}

// alive takes the device of n, a push that was accepted, off the list, and then
// lets n settle.
func (f *feedback) alive(n *notification) {
	f.add(feedbackEntry{app: n.lane.app, token: n.Token(), at: dated(n.Sent), alive: true, waits: n, outcome: conversation.Accepted})
}

// untold puts a bad token of which no provider was told on the list. It keeps
// token. Until it is stored it counts as a notification of its app.
func (f *feedback) untold(a *app, token []byte, at time.Time) {
	a.bridge.unsettled.Add(1)
	a.account.Add(untoldSize(token))
	f.add(feedbackEntry{app: a, token: token, at: at, doubt: true})
}

// refused is dead for a bad token that was taken over from its provider.
func (f *feedback) refused(n *notification) {
	f.add(feedbackEntry{app: n.lane.app, token: n.Token(), at: dated(n.Sent), doubt: true, waits: n, outcome: conversation.Dropped})
}

// withdraw takes back what was recorded of a bad token.
func (f *feedback) withdraw(a *app, w lane.Withdrawal) {
	a.bridge.unsettled.Add(1)
	a.account.Add(untoldSize(w.Token))
	f.add(feedbackEntry{app: a, token: w.Token, at: w.Recorded.Add(time.Millisecond), alive: true})
}

func untoldSize(token []byte) int64 { return notificationOverhead + int64(len(token)) }

// stored says that the list is as e wants it, or that the store has failed for
// good.
func (e feedbackEntry) stored() {
	if e.waits != nil {
		e.waits.lane.finish(e.waits, e.outcome)
		return
	}
	e.app.account.Give(untoldSize(e.token))
	e.app.bridge.settled(1)
}

func (f *feedback) add(e feedbackEntry) {
	f.mu.Lock()
	f.queue = append(f.queue, e)
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
func (f *feedback) write(ctx context.Context, batch []feedbackEntry) {
	dead := make([]store.Dead, 0, min(len(batch), feedbackBatch))
	for len(batch) > 0 {
		n, first := 0, batch[0]
		dead = dead[:0]
		for n < len(batch) && n < feedbackBatch && batch[n].app == first.app && !batch[n].alive {
			if e := batch[n]; !e.doubt || e.app.recordable(e.token, e.at) {
				dead = append(dead, store.Dead{Token: e.token, Time: e.at})
			}
			n++
		}
		stored := n > 0 && len(dead) == 0 || f.persist(ctx, first.app, func(ctx context.Context) error {
			if n > 0 {
				return f.store.Record(ctx, first.app.name, dead...)
			}
			return f.store.Revive(ctx, first.app.name, first.token, first.at)
		})
		counters := &first.app.counters
		switch {
		case !stored:
			counters.feedbackLost.Add(uint64(max(len(dead), 1)))
		case n == 0:
			counters.revived.Add(1)
		default:
			counters.feedback.Add(uint64(len(dead)))
		}
		n = max(n, 1)
		for _, e := range batch[:n] {
			e.stored()
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
			f.fault.Met(nil)
			return true
		}
		if last {
			f.log.Error().Err(err).Str("app", app.name).Msg("entries of the feedback list are lost: it could not be written before the end")
			return false
		}
		f.fault.Met(err)
		select {
		case <-ctx.Done():
		case <-time.After(f.delay):
		}
	}
}
