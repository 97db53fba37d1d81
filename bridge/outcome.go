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
	DryRun                      // ended in place of APNs, as the app's dry run has it
	BadToken                    // refused for its token
	Listed                      // the same, without asking APNs: it has refused the token lately
	Refused                     // for another fault of the provider
	Unregistered                // its device has gone
	Unknown                     // answered in words not known here
	Expired                     // before APNs took it
	Dropped                     // given up after retries
	Crowded                     // given up behind a device that waits, for want of room
	Unreadable                  // of the spool
	Abandoned                   // without a verdict at the end, and not in the spool
)

// Ending is an outcome with its reason: APNs' word where it has said one of its own,
// else one of ours; empty where the outcome says it all.
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

// tally counts what is rare by its kind, of which there are few.
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

// end counts a notification that APNs has not accepted. The reason must be one of few,
// and none of a stranger's words.
func (l *appLane) end(o Outcome, reason string) { l.endings.add(Ending{o, reason}) }

// observe counts how long n took until v came; final says that it is the last word. The
// lane's lock is held.
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
