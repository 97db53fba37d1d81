// Package clock tells lanes the time: what has passed, and the wall's time as far as it is
// to be believed.
package clock

import (
	"sync/atomic"
	"time"

	"apnsbridge/bridge/lane"
)

const (
	// stepOf is how far the wall's time may be from the one expected without being
	// taken for a step: clocks that are kept right are slewed.
	stepOf = 2 * time.Second

	// Believed is how long a step of the wall's time has to last until it is
	// believed: whoever sets a clock wrong sets it right again.
	Believed = 10 * time.Minute
)

// Clock is a process's. What lanes date and wait for goes by the monotonic
// clock. What has expired goes by the wall's time at the start and what has passed
// since: a clock that is set wrong for a while must not let notifications expire.
type Clock struct {
	read  func() time.Time
	start time.Time

	offset  atomic.Int64 // nanoseconds that the wall was believed to have been stepped since the start
	stepped atomic.Int64 // when a step was first seen that is not believed yet, in nanoseconds since the start; 0: none is
}

// New makes a clock that reads another, and starts now.
func New(read func() time.Time) *Clock { return &Clock{read: read, start: read()} }

// Now is what lanes are told at present.
func (c *Clock) Now() lane.Now { return c.At(c.read()) }

// Nanos is t, which was read from the same clock, in nanoseconds since 1970 by the
// wall's time at the start and what has passed since.
func (c *Clock) Nanos(t time.Time) int64 { return c.start.UnixNano() + int64(t.Sub(c.start)) }

// At is what lanes are told of t, which was read a moment ago.
func (c *Clock) At(t time.Time) lane.Now {
	mono := t.Sub(c.start)
	expected := c.start.UnixNano() + int64(mono) + c.offset.Load()
	diff := time.Duration(t.UnixNano() - expected)
	switch since := c.stepped.Load(); {
	case diff.Abs() <= stepOf:
		if since != 0 {
			c.stepped.Store(0)
		}
	case since == 0:
		c.stepped.CompareAndSwap(0, max(1, int64(mono)))
	case mono-time.Duration(since) >= Believed:
		if c.stepped.CompareAndSwap(since, 0) {
			c.offset.Add(int64(diff))
			expected += int64(diff)
		}
	}
	return lane.Now{Mono: mono, Wall: expected / int64(time.Second), Time: t}
}

// Doubts reports whether the wall was stepped lately, and that is not believed yet.
func (c *Clock) Doubts() bool { return c.stepped.Load() != 0 }
