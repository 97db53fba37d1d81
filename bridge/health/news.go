package health

import "time"

const (
	// newsEvery is how long it takes until another change may be told at once.
	newsEvery = time.Minute

	// newsAtOnce is how many changes are told at once: something begins, and is
	// over.
	newsAtOnce = 2
)

// news decides which changes of a state go to the log while it changes to and
// fro: newsAtOnce of them as they come, then one word every newsEvery on how
// things stand. It has no clock but tick.
type news struct {
	told   int       // changes, of those that may be told at once
	since  time.Time // when one more of them may
	untold int       // changes since the last word
}

// changed reports whether a change is told now.
func (n *news) changed() bool {
	if n.told == newsAtOnce {
		n.untold++
		return false
	}
	n.told++
	return true
}

// tick tells the time, and gives the number of changes that are to be told now,
// 0 if there is nothing to tell.
func (n *news) tick(now time.Time) (untold int) {
	if n.told == 0 {
		return 0
	}
	if n.since.IsZero() {
		n.since = now
	}
	if now.Sub(n.since) < newsEvery {
		return 0
	}
	untold, n.untold, n.since = n.untold, 0, now
	if untold == 0 { // otherwise the word that is due takes the place
		n.told--
		if n.told == 0 {
			n.since = time.Time{}
		}
	}
	return untold
}
