// Package feedback carries dead devices to the list that is kept of them, in batches of
// whatever came during the last one, and takes those off it that have come back.
package feedback

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/pace"
	"apnsbridge/store"
)

// Store is the list: the part of store.Feedback that writes.
type Store interface {
	Record(ctx context.Context, app string, dead ...store.Dead) error
	Revive(ctx context.Context, app string, token []byte, sent time.Time) error
	Listed(app string, token []byte) bool
}

// most is how many entries go to the store in one call.
const most = 1000

// App is one app's part of the list, and what became of it.
type App struct {
	Name string

	// Recordable reports whether a token that APNs refused at that time is believed to
	// be bad: the app may be to blame.
	Recordable func(token []byte, at time.Time) bool

	Recorded, Revived, Lost atomic.Uint64 // entries
}

// Entry is one change of an app's list.
type Entry struct {
	App   *App
	Token []byte    // not changed until Then
	At    time.Time // since when the device is dead; or when the push was sent that proves it alive
	Alive bool
	Doubt bool   // the token was refused: it counts only if it is Recordable
	Then  func() // the list is as the entry wants it, or the store has failed for good
}

// Writer writes entries. What waits for one settles only when the store has it: so
// nothing is lost, and a slow store fills windows, not memory.
type Writer struct {
	store Store
	delay time.Duration // after an error, before the next attempt
	log   zerolog.Logger
	fault *pace.Fault
	wake  chan struct{}

	mu      sync.Mutex
	queue   []Entry
	writing int     // taken from queue, and not stored yet
	spare   []Entry // the last batch's memory
}

// NewWriter makes one. An error of the store is followed by another attempt after delay.
func NewWriter(s Store, delay time.Duration, log zerolog.Logger) *Writer {
	return &Writer{store: s, delay: delay, log: log, wake: make(chan struct{}, 1),
		fault: pace.NewFault(log, time.Now, "the feedback list cannot be written: it is tried again until it can",
			"the feedback list can be written again")}
}

// Listed reports whether a device may be on the app's list.
func (w *Writer) Listed(app string, token []byte) bool { return w.store.Listed(app, token) }

// Add has e written.
func (w *Writer) Add(e Entry) {
	w.mu.Lock()
	w.queue = append(w.queue, e)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Len is how many the store does not have yet: they wait, or are being written.
func (w *Writer) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) + w.writing
}

// Run writes until ctx ends and nothing is left that the store still takes.
func (w *Writer) Run(ctx context.Context) {
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
		}
		w.Flush(ctx)
		if ctx.Err() != nil && w.Len() == 0 {
			return
		}
	}
}

// Flush writes what has come until now. It must not be called while Run runs.
func (w *Writer) Flush(ctx context.Context) {
	w.mu.Lock()
	batch := w.queue
	w.queue, w.writing = w.spare[:0], len(batch)
	w.mu.Unlock()
	w.write(ctx, batch)
	clear(batch)
	w.spare = batch
}

// write stores a batch in its order, what is alike in one call.
func (w *Writer) write(ctx context.Context, batch []Entry) {
	dead := make([]store.Dead, 0, min(len(batch), most))
	for len(batch) > 0 {
		n, first := 0, batch[0]
		dead = dead[:0]
		for n < len(batch) && n < most && batch[n].App == first.App && !batch[n].Alive {
			if e := batch[n]; !e.Doubt || e.App.Recordable(e.Token, e.At) {
				dead = append(dead, store.Dead{Token: e.Token, Time: e.At})
			}
			n++
		}
		stored := n > 0 && len(dead) == 0 || w.persist(ctx, first.App, func(ctx context.Context) error {
			if n > 0 {
				return w.store.Record(ctx, first.App.Name, dead...)
			}
			return w.store.Revive(ctx, first.App.Name, first.Token, first.At)
		})
		switch {
		case !stored:
			first.App.Lost.Add(uint64(max(len(dead), 1)))
		case n == 0:
			first.App.Revived.Add(1)
		default:
			first.App.Recorded.Add(uint64(len(dead)))
		}
		n = max(n, 1)
		w.mu.Lock()
		w.writing -= n
		w.mu.Unlock()
		for _, e := range batch[:n] {
			e.Then()
		}
		batch = batch[n:]
	}
}

// persist tries until the store does what it is asked; once ctx has ended, one
// last time.
func (w *Writer) persist(ctx context.Context, app *App, do func(context.Context) error) (done bool) {
	for {
		last := ctx.Err() != nil
		err := do(context.WithoutCancel(ctx))
		if err == nil || !last {
			w.fault.Met(err)
		}
		if err == nil {
			return true
		}
		if last {
			w.log.Error().Err(err).Str("app", app.Name).
				Msg("entries of the feedback list are lost: it could not be written before the end")
			return false
		}
		select {
		case <-ctx.Done():
		case <-time.After(w.delay):
		}
	}
}
