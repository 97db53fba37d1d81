package bridge

import "sync/atomic"

// counters are what a lane counts as it happens.
type counters struct {
	taken, overRate, skippedItems          atomic.Uint64
	accepted, retried, ambiguous, replayed atomic.Uint64
	known                                  atomic.Uint64
}

// skip counts the unknown items of a frame.
func (c *counters) skip(items uint16) {
	if items > 0 {
		c.skippedItems.Add(uint64(items))
	}
}

// counts gives a lane's counts, with the sums of its endings.
func (l *appLane) counts(endings map[Ending]uint64) Counts {
	c := &l.counters
	n := Counts{
		Taken: c.taken.Load(), OverRate: c.overRate.Load(), SkippedItems: c.skippedItems.Load(), Accepted: c.accepted.Load(),
		Retried: c.retried.Load(), Ambiguous: c.ambiguous.Load(), Replayed: c.replayed.Load(), Known: c.known.Load(),
	}
	sums := n.outcomes()
	for e, count := range endings {
		*sums[e.Outcome] += count
	}
	return n
}

// outcomes finds the sum of each Outcome.
func (c *Counts) outcomes() [Abandoned + 1]*uint64 {
	return [...]*uint64{
		Malformed: &c.Malformed, DryRun: &c.DryRun, BadToken: &c.BadTokens, Listed: &c.BadTokensCached, Refused: &c.Refused,
		Unregistered: &c.Unregistered, Unknown: &c.Unknown, Expired: &c.Expired, Dropped: &c.Dropped,
		Crowded: &c.Crowded, Unreadable: &c.Unreadable, Abandoned: &c.Abandoned,
	}
}

// all finds every figure.
func (c *Counts) all() []*uint64 {
	outcomes := c.outcomes()
	return append(outcomes[:],
		&c.Taken, &c.OverRate, &c.SkippedItems, &c.Accepted, &c.Retried, &c.Ambiguous, &c.Replayed, &c.Known)
}

func (c *Counts) add(o Counts) {
	more := o.all()
	for i, sum := range c.all() {
		*sum += *more[i]
	}
}

// Ended is the number of notifications with an outcome. What is sent again and recognised has none.
func (c Counts) Ended() uint64 {
	sum := c.Accepted
	for _, part := range c.outcomes() {
		sum += *part
	}
	return sum
}
