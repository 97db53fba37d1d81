package bridge

import (
	"time"

	"apnsbridge/bridge/upstream"
)

// breakerFailures is how many attempts in a row have to fail before the others
// are kept waiting: of single failures there are always some, and each waits for
// itself. A connection that cannot be opened is enough.
const breakerFailures = 5

// eased is how many of those that wait may go for each answer that shows that
// APNs serves again. So their number doubles with each round trip, and what
// fails again soon is little.
const eased = 2

// breaker decides whether notifications of one app go to one environment of
// APNs, or wait until it is known that they can. It opens after failures in a
// row that are not the notification's fault. While it is open one of those that
// wait goes at a time, as a probe: after a back-off, or every 30 to 60 s where
// APNs does not take the app's credential or topic. Answers that show that APNs
// serves again let more go, and once nobody waits it closes.
//
// Attempts are dated by when they were sent: a verdict on one from before the
// breaker last opened, closed or was told of a new way to APNs says nothing. It
// has no lock and no clock.
type breaker struct {
	backoff *backoff

	failures int            // in a row, while it is closed
	opened   time.Time      // zero: it is closed
	why      upstream.Class // of the last failure
	since    time.Time      // the last change
	vain     int            // probes in a row, while it is open
	probe    time.Time      // when the next is due
}

// impedes says whether c is a failure that others would have as well.
func impedes(c upstream.Class) bool {
	switch c {
	case upstream.CredentialRefused, upstream.TopicRefused, upstream.TokenUpdates,
		upstream.ServerError, upstream.NoConnection, upstream.NoAnswer:
		return true
	}
	return false
}

// ours reports whether c is a fault of the app's credential or topic.
func ours(c upstream.Class) bool {
	return c == upstream.CredentialRefused || c == upstream.TopicRefused
}

// serves says whether an answer of class c shows that what impeded is over. APNs
// looks at credential and topic before it looks at the device, and at the request
// before both.
func serves(c, why upstream.Class) bool {
	switch c {
	case upstream.Accepted, upstream.BadToken, upstream.Gone, upstream.Throttled:
		return true
	case upstream.Refused, upstream.BadPriority, upstream.BadPushType, upstream.BadExpiration, upstream.Unknown:
		return !ours(why)
	}
	return false
}

func (b *breaker) open() bool { return !b.opened.IsZero() }

// failed takes a failure of class c, which impedes. What could not be sent has
// no date that says something.
func (b *breaker) failed(c upstream.Class, sent, now time.Time) {
	if c != upstream.NoConnection && sent.Before(b.since) {
		return
	}
	if b.open() {
		if ours(c) != ours(b.why) {
			b.probe = now.Add(b.wait(c))
		}
		b.why = c
		return
	}
	b.why = c
	if b.failures++; b.failures < breakerFailures && c != upstream.NoConnection {
		return
	}
	b.opened, b.vain = now, 0
	b.date(now)
	b.probe = now.Add(b.wait(c))
}

// wait is how long the next probe has to.
func (b *breaker) wait(c upstream.Class) time.Duration {
	if ours(c) {
		return b.backoff.held()
	}
	return b.backoff.after(b.vain)
}

// date says that verdicts on what was sent before now say nothing. Attempts are
// dated in whole milliseconds.
func (b *breaker) date(now time.Time) { b.since = now.Truncate(time.Millisecond) }

// answered takes an answer of class c, which does not impede. It says how many of
// those that wait may go.
func (b *breaker) answered(c upstream.Class, sent, now time.Time) (more int) {
	switch {
	case !serves(c, b.why):
		return 0
	case !b.open():
		b.failures = 0
		return 0
	case sent.Before(b.since):
		return 0
	}
	b.vain = 0
	b.probe = now.Add(b.wait(b.why)) // if of those that go none is answered
	return eased
}

// emptied says that, after answered, nobody waits any more.
func (b *breaker) emptied(now time.Time) {
	b.opened, b.failures = time.Time{}, 0
	b.date(now)
}

// due says that it is time for a probe.
func (b *breaker) due(now time.Time) bool { return b.open() && !now.Before(b.probe) }

// probed says that a probe goes out.
func (b *breaker) probed(now time.Time) {
	b.vain++
	b.probe = now.Add(b.wait(b.why))
}

// wasted says that what went out as a probe was not asked about after all.
func (b *breaker) wasted(now time.Time) { b.probe = now }

// renewed says that the app has another credential or another way to APNs.
func (b *breaker) renewed(now time.Time) {
	b.failures, b.vain = 0, 0
	b.date(now)
	b.probe = now
}
