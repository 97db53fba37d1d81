package pace

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Fault is a fault that is met again and again: it is logged when it begins,
// once a minute while it lasts, and when it is over.
type Fault struct {
	log  zerolog.Logger
	what string
	over string
	now  func() time.Time

	mu    sync.Mutex
	pace  Pace
	open  bool // it is in the log, and not that it is over
	since int  // times that it was met and not logged
}

// NewFault says what begins and what is over, by the clock now.
func NewFault(log zerolog.Logger, now func() time.Time, what, over string) *Fault {
	return &Fault{log: log, what: what, over: over, now: now, pace: New(Rate{1, time.Minute})}
}

// Failed takes note of the fault.
func (f *Fault) Failed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if !f.pace.Room(1, now) {
		f.since++
		return
	}
	f.pace.Take(1, now)
	f.log.Error().Err(err).Int("unlogged", f.since).Msg(f.what)
	f.open, f.since = true, 0
}

// Worked takes note that it was not met.
func (f *Fault) Worked() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open {
		f.open = false
		f.log.Info().Int("unlogged", f.since).Msg(f.over)
	}
}

// Met takes note of err, or with nil that it was not met.
func (f *Fault) Met(err error) {
	if err == nil {
		f.Worked()
		return
	}
	f.Failed(err)
}
