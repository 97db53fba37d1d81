// Package drain divides the time that a shutdown has: first providers that go on writing are
// read, then APNs still gets its part, and at last everything goes to disk.
package drain

import (
	"context"
	"math"
	"time"
)

// Plan is such a division. It holds also when the shutdown that made it has returned:
// providers may write until their connections are cut.
type Plan struct {
	ReadBy time.Time // when all sessions are to end, even those that have yet to begin

	over              time.Time     // when the time is over; zero: never
	shortest, longest time.Duration // of the part in which APNs is asked about nothing more
}

// New divides what is left of ctx's time now.
func New(ctx context.Context, now time.Time) Plan {
	p := Plan{ReadBy: now.Add(Patience(ctx)), shortest: part(ctx, 1, 4), longest: part(ctx, 3, 4)}
	if _, ends := ctx.Deadline(); ends {
		p.over = now.Add(part(ctx, 1, 1))
	}
	return p
}

// Left is for how long APNs is still asked, if its good answers take as long as slowest: a
// quarter of the time, or twice as long as they take, is for those that are under way.
func (p Plan) Left(slowest time.Duration, now time.Time) time.Duration {
	if p.over.IsZero() {
		return math.MaxInt64 - 1 // shorter only than the rest of a lane in which nothing waits
	}
	return p.over.Sub(now) - min(max(2*slowest, p.shortest), p.longest)
}

// Patience is how long providers that go on writing are read before they are told that the
// gateway stops. The rest of ctx's time is for what they send after that.
func Patience(ctx context.Context) time.Duration { return part(ctx, 1, 2) }

// part is parts/all of the time left in ctx.
func part(ctx context.Context, parts, all time.Duration) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return math.MaxInt64
	}
	return time.Until(deadline) / all * parts
}
