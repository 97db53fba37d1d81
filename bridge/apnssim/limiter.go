package apnssim

import (
	"sync"
	"time"
)

// limiter counts by name within a period that begins with the first count.
type limiter struct {
	mu     sync.Mutex
	count  int
	period time.Duration
	names  map[string]tally
}

type tally struct {
	since time.Time
	count int
}

// maxNames bounds the names a limiter remembers; when there are more it
// forgets those whose period is over, or else all.
const maxNames = 1_000_000

func newLimiter(l *RateLimit) *limiter {
	if l == nil {
		return nil
	}
	return &limiter{count: l.Count, period: milliseconds(1000 * l.Seconds), names: make(map[string]tally)}
}

// admit counts one for name, and reports whether it is still within the limit.
// A nil limiter admits everything.
func (l *limiter) admit(name string, now time.Time) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t, found := l.names[name]
	if !found && len(l.names) >= maxNames {
		l.forget(now)
	}
	if !found || now.Sub(t.since) >= l.period {
		t = tally{since: now}
	}
	if t.count == l.count {
		return false
	}
	t.count++
	l.names[name] = t
	return true
}

func (l *limiter) forget(now time.Time) {
	for name, t := range l.names {
		if now.Sub(t.since) >= l.period {
			delete(l.names, name)
		}
	}
	if len(l.names) >= maxNames {
		clear(l.names)
	}
}
