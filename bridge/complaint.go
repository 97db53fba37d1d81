package bridge

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// complaintEvery is the least time between two log lines of a complaint.
const complaintEvery = time.Minute

// complaint is a fault that is met again and again: it is logged when it begins,
// once a minute while it lasts, and when it is over.
type complaint struct {
	log  zerolog.Logger
	what string
	over string
	now  func() time.Time

	mu     sync.Mutex
	logged time.Time // last
	open   bool      // it is in the log, and not that it is over
	since  int       // times that it was met and not logged
}

// failed takes note of the fault.
func (c *complaint) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if !c.logged.IsZero() && now.Sub(c.logged) < complaintEvery {
		c.since++
		return
	}
	c.log.Error().Err(err).Int("unlogged", c.since).Msg(c.what)
	c.logged, c.open, c.since = now, true, 0
}

// worked takes note that it was not met.
func (c *complaint) worked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open {
		c.open = false
		c.log.Info().Int("unlogged", c.since).Msg(c.over)
	}
}

// met takes note of err, or with nil that it was not met.
func (c *complaint) met(err error) {
	if err == nil {
		c.worked()
		return
	}
	c.failed(err)
}
