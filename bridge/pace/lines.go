package pace

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Lines bounds a stream of lines that others can cause: r.Count at once, and
// as many again in each r.Per, evenly and for each level apart, so that a port
// scan does not hide who is refused. A line says with "unlogged" how many of its
// level were left out before it. What others say in a line is clipped where the
// line is written, so that a bound of lines is one of bytes: 2 KiB each.
func Lines(log zerolog.Logger, r Rate) zerolog.Logger {
	l := newLines(r, time.Now)
	return log.Sample(l).Hook(l)
}

// lines is both: as a sampler it decides, as a hook it adds the count.
type lines struct {
	now func() time.Time

	mu     sync.Mutex
	levels [zerolog.ErrorLevel + 1]struct {
		pace     Pace
		unlogged uint64
	}
}

func newLines(r Rate, now func() time.Time) *lines {
	l := &lines{now: now}
	for i := range l.levels {
		l.levels[i].pace = New(r)
	}
	return l
}

// Sample reports whether a line may be written now. Errors always may: no
// stranger causes one.
func (l *lines) Sample(level zerolog.Level) bool {
	if level < zerolog.DebugLevel || level >= zerolog.ErrorLevel {
		return level >= zerolog.ErrorLevel
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at, now := &l.levels[level], l.now()
	if at.pace.Room(1, now) {
		at.pace.Take(1, now)
		return true
	}
	at.unlogged++
	return false
}

// Run adds how many lines of the level were left out.
func (l *lines) Run(e *zerolog.Event, level zerolog.Level, _ string) {
	if level < zerolog.DebugLevel || level >= zerolog.ErrorLevel {
		return
	}
	l.mu.Lock()
	n := l.levels[level].unlogged
	l.levels[level].unlogged = 0
	l.mu.Unlock()
	if n > 0 {
		e.Uint64("unlogged", n)
	}
}
