package bridge

import (
	"maps"
	"sync"
	"time"

	"apnsbridge/bridge/histogram"
	"apnsbridge/bridge/upstream"
)

// Outcome is what became of a notification that APNs has not accepted.
type Outcome uint8

// The outcomes.
const (
	Malformed    Outcome = iota // refused at parsing
	DryRun                      // not sent, because the app's dry run is on
	BadToken                    // refused for its token
	Listed                      // the same, without asking APNs, which has refused the token lately
	Refused                     // refused for another fault of the provider
	Unregistered                // its device is gone
	Unknown                     // answered with a reason not known here
	Expired                     // before APNs took it
	Dropped                     // given up after retries
	Crowded                     // given up behind a device that waits, for want of room
	Unreadable                  // its record in the spool cannot be read
	Abandoned                   // without a verdict when the process ended, and not in the spool
)

// Ending is an outcome with its reason: APNs' own where it gave one, else one of ours;
// empty where the outcome says it all.
type Ending struct {
	Outcome Outcome
	Reason  string
}

// Times are how long notifications took to get somewhere.
type Times struct {
	Queue   histogram.Histogram // until the attempt at which APNs gave its verdict
	Verdict histogram.Histogram // until that verdict
	Answer  histogram.Histogram // from an attempt to APNs' answer, whatever it was
}

// tally counts rare events by their kind, of which there are few.
type tally[K comparable] struct {
	mu sync.Mutex
	by map[K]uint64
}

func (t *tally[K]) add(kind K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = make(map[K]uint64)
	}
	t.by[kind]++
}

func (t *tally[K]) counts() map[K]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.by)
}

// end counts a notification that APNs has not accepted. The reason must come from a small
// fixed set, never from a stranger.
func (l *appLane) end(o Outcome, reason string) { l.endings.add(Ending{o, reason}) }

// observe counts how long n took until v came. final says that v is the last word. The
// caller holds the lane's lock.
func (l *appLane) observe(n *notification, v upstream.Verdict, final bool, now time.Time) {
	if v.Code == 0 { // there was no answer
		return
	}
	if l.times == nil {
		l.times = new(Times)
	}
	t, answer := l.times, now.Sub(n.Sent)
	t.Answer.Observe(answer)
	if final {
		age := time.Duration(l.app.bridge.clock.Nanos(n.Sent) - n.taken)
		t.Queue.Observe(age)
		t.Verdict.Observe(age + answer)
	}
}
