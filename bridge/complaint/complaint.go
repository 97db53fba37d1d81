// Package complaint logs a fault that is met again and again: when it begins, once a
// minute while it lasts, and when it is over.
package complaint

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// every is the least time between two log lines of a complaint.
const every = time.Minute

// Complaint is one such fault. It is safe for concurrent use.
type Complaint struct {
	log        zerolog.Logger
	what, over string
	now        func() time.Time

	mu     sync.Mutex
	logged time.Time // last
	open   bool      // it is in the log, and not that it is over
	since  int       // times that it was met and not logged
}

// New makes a complaint that says what is wrong, and that it is over, by the machine's
// clock.
func New(log zerolog.Logger, what, over string) *Complaint {
	return &Complaint{log: log, what: what, over: over, now: time.Now}
}

// Met takes note of err, or with nil that the fault was not met.
func (c *Complaint) Met(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	switch {
	case err == nil && c.open:
		c.open = false
		c.log.Info().Int("unlogged", c.since).Msg(c.over)
	case err == nil:
	case !c.logged.IsZero() && now.Sub(c.logged) < every:
		c.since++
	default:
		c.log.Error().Err(err).Int("unlogged", c.since).Msg(c.what)
		c.logged, c.open, c.since = now, true, 0
	}
}
