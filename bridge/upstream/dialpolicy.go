package upstream

import "time"

// growAfter is how long a push waits for a place on full connections before
// another one is opened: the round trip to APNs takes about as long.
const growAfter = 100 * time.Millisecond

// maxBackoff is how many intervals apart connections are tried that fail.
const maxBackoff = 16

// maxPause is how many intervals apart connections are tried that the server ends
// soon, behind a few answers: more often would look like an attack.
const maxPause = 64

// maxFreshWait is how far apart new connections are opened for those that wait
// for one, as long as none of these is accepted.
const maxFreshWait = 30 * time.Second

// connState is how far an Upstream's connection has come.
type connState uint8

const (
	connecting connState = iota // until APNs' SETTINGS are known
	serving
	aging      // serves until there is a younger one
	draining   // takes no more requests; those under way are waited for
	connStates = iota
)

// dialPolicy decides when to open a connection: the first when something is
// to be sent, more when pushes wait too long for a place, another one for one
// that is aging. It has no lock and no clock.
type dialPolicy struct {
	limit    int           // connections in use at once; those that leave are not counted, up to as many again
	interval time.Duration // between two of them

	notBefore time.Time
	failures  int // in a row, of connections that were tried or soon over

	freshNotBefore time.Time
	freshInVain    int // connections opened for pushes that wait for one, since one of those was accepted
	delay          queueDelay
}

// next reports whether a connection is to be opened now, or when to ask again; 0
// for not before something happens. fresh is that a push waits for a new one.
func (o *dialPolicy) next(
	now time.Time, count [connStates]int, q *pushQueue, fresh bool,
) (open bool, wait time.Duration) {
	waited := o.delay.waited(now, q)
	inUse := count[serving] + count[aging]
	if count[connecting] > 0 || inUse+count[draining] >= 2*o.limit {
		return false, 0
	}
	notBefore := o.notBefore
	switch {
	case fresh:
		if o.freshNotBefore.After(notBefore) {
			notBefore = o.freshNotBefore
		}
	case count[serving] >= o.limit:
		return false, 0
	case count[serving] == 0 && count[aging] > 0: // to be replaced
	case q.empty():
		return false, 0
	case inUse > 0 && waited < growAfter:
		return false, growAfter - waited
	}
	if wait := notBefore.Sub(now); wait > 0 {
		return false, wait
	}
	o.notBefore = now.Add(o.interval)
	if fresh {
		o.freshNotBefore = now.Add(min(o.interval<<min(o.freshInVain, 10), maxFreshWait))
		o.freshInVain++
	}
	return true, 0
}

// opened notes that a connection was opened. What waits has a new chance.
func (o *dialPolicy) opened(now time.Time) {
	o.notBefore = now.Add(max(o.interval, o.notBefore.Sub(now)))
	o.delay = queueDelay{}
}

// useful notes that a connection has brought answers enough, or has lasted.
func (o *dialPolicy) useful() { o.failures = 0 }

// freshAccepted notes that a push was accepted that had waited for a new
// connection.
func (o *dialPolicy) freshAccepted() {
	o.freshInVain, o.freshNotBefore = 0, time.Time{}
}

// failed notes that a connection could not be opened, or ended without an answer.
// The next is tried after the interval, and twice that with each failure.
func (o *dialPolicy) failed(now time.Time) {
	o.notBefore = now.Add(o.interval * time.Duration(min(1<<min(o.failures, 10), maxBackoff)))
	o.failures++
}

// endedSoon notes that the server has ended a connection behind a few answers. It
// reports whether that happens again and again.
func (o *dialPolicy) endedSoon(now time.Time) (again bool) {
	o.notBefore = now.Add(o.interval * time.Duration(min(1<<min(o.failures, 10), maxPause)))
	o.failures++
	return o.failures >= 3
}

// backsOff reports whether the connection after one that ends now is opened later than
// after the interval, because others have failed or ended soon.
func (o *dialPolicy) backsOff() bool { return o.failures > 0 }

// hurry ends the wait after failures.
func (o *dialPolicy) hurry(now time.Time) {
	if soon := now.Add(o.interval); o.notBefore.After(soon) {
		o.notBefore = soon
	}
	o.failures = 0
}

// queueDelay measures how long pushes wait in a queue, by one of them at a time.
type queueDelay struct {
	mark  uint64 // taken has this value when the one is; 0 without one
	since time.Time
}

// waited is how long the one has waited that is measured.
func (b *queueDelay) waited(now time.Time, q *pushQueue) time.Duration {
	switch {
	case q.empty():
		b.mark = 0
		return 0
	case b.mark == 0 || q.taken >= b.mark:
		b.mark, b.since = q.taken+uint64(q.size), now
	}
	return now.Sub(b.since)
}
