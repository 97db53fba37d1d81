package gateway

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Throttle bounds a stream of lines that others can cause: r.Count at once, and
// as many again in each r.Per, evenly and for each level apart, so that a port
// scan does not hide who is refused. A line says with "unlogged" how many of its
// level were left out before it. What others say in a line is clipped where the
// line is written, so that a bound of lines is one of bytes: 2 KiB each.
func Throttle(log zerolog.Logger, r Rate) zerolog.Logger {
	t := &throttle{rate: r, now: time.Now}
	return log.Sample(t).Hook(t)
}

// throttle is both: as a sampler it decides, as a hook it adds the count.
type throttle struct {
	rate Rate
	now  func() time.Time

	mu     sync.Mutex
	levels [zerolog.ErrorLevel + 1]struct {
		full     time.Time // when the whole burst will be free again
		unlogged uint64
	}
}

// Sample reports whether a line may be written now. Errors always may: no
// stranger causes one.
func (t *throttle) Sample(level zerolog.Level) bool {
	if level < zerolog.DebugLevel || level >= zerolog.ErrorLevel {
		return level >= zerolog.ErrorLevel
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l, now := &t.levels[level], t.now()
	if l.full.Before(now) {
		l.full = now
	}
	if next := l.full.Add(t.rate.Per / time.Duration(t.rate.Count)); next.Sub(now) <= t.rate.Per {
		l.full = next
		return true
	}
	l.unlogged++
	return false
}

// Run adds how many lines of the level were left out.
func (t *throttle) Run(e *zerolog.Event, level zerolog.Level, _ string) {
	if level < zerolog.DebugLevel || level >= zerolog.ErrorLevel {
		return
	}
	t.mu.Lock()
	n := t.levels[level].unlogged
	t.levels[level].unlogged = 0
	t.mu.Unlock()
	if n > 0 {
		e.Uint64("unlogged", n)
	}
}
