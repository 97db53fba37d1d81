package lane

import "time"

// Reason is why a door is closed. Unreachable and Refused close a lane's door;
// Unreachable, Topic and Suspect close that of one line.
type Reason uint8

// The reasons.
const (
	Open        Reason = iota
	Unreachable        // no connection, 5xx, or no answers
	Refused            // APNs does not take the credential
	Topic              // APNs does not take the topic
	Suspect            // APNs refuses one token after another: the app is misconfigured
)

// String is the reason in words.
func (r Reason) String() string {
	return [...]string{"open", "unreachable", "credential refused", "topic refused", "suspect"}[r]
}

const (
	atOnce  = 1  // failure closes a door, if it is conclusive
	inARow  = 5  // failures close it otherwise,
	amid    = 64 // or this many amid good answers: some in a clump may fail on their own account
	proved  = 64 // more good answers than failures open it again
	eased   = 2  // more may go for each good answer
	atATime = 64 // probes at most, where one good answer proves all
)

// spokenRounds are how many probes go at a time where APNs does answer, with 5xx. They grow
// quickly to a number of which not all would fail unless there is an outage.
var spokenRounds = [...]int{1, 4, 16, 64, 4}

// Delays are the waits of doors, and of notifications that wait on their own account.
type Delays struct {
	First, Most time.Duration  // after a failure: First, twice that, and so on up to Most
	Held        time.Duration  // between probes where only the operator can help
	Random      func() float64 // at least 0 and less than 1
}

// after is the wait after n+1 failures. The last half of each wait is random, so that
// many who wait for the same thing do not all ask for it at the same moment.
func (d *Delays) after(n int) time.Duration {
	wait := d.Most
	if d.First <= d.Most>>n {
		wait = d.First << n
	}
	return d.chance(wait)
}

func (d *Delays) chance(wait time.Duration) time.Duration {
	return wait/2 + time.Duration(d.Random()*float64(wait-wait/2))
}

// Door decides whether notifications go out or wait. All its times are
// monotonic.
type Door struct {
	Reason Reason
	Since  time.Duration // its last change; verdicts on what was sent earlier say nothing
	Probe  time.Duration // when the next is due
	Probes uint64        // let through so far

	delays   *Delays
	credit   int  // how many of those that wait may go
	failures int  // in a row
	vain     int  // rounds of probes in a row without a good answer, while it is closed
	dry      bool // the last draw from the logs found none that may go
	stale    bool // after the last probe, none was left that had never been asked about
	spoken   bool // the last failure was an answer, a 5xx: asking more at once costs an attempt each
	faith    int  // how many more 5xx are put down to a few items that fail on their own account
	cut      bool // answers were lost while it was closed, and it has not been open for settled since
	good     int  // answers that show that the reason is gone, less the failures since
}

// proves reports whether an answer of class c shows that the reason is gone.
func (d *Door) proves(c Class) bool {
	switch d.Reason {
	case Suspect:
		return c == Accepted
	case Topic:
		return c <= Throttled
	case Refused:
		return c <= Throttled || c == TopicRefused
	}
	return c <= CredentialRefused
}

// answered takes an answer that is not this door's kind of failure, to a push that was
// sent at sent.
func (d *Door) answered(c Class, sent, now time.Duration) {
	switch {
	case sent < d.Since || !d.proves(c):
	case d.Reason == Open:
		d.failures = 0
	default:
		d.vain, d.failures, d.faith = 0, 0, amid
		d.credit += eased
		d.Probe = now + d.wait()
		if d.good++; d.good >= proved {
			d.open(now)
		}
	}
}

// failed takes an answer that others would have got as well, to a push that was sent at
// sent. A number of them in a row, enough, close the door.
func (d *Door) failed(why Reason, enough int, sent, now time.Duration) {
	if sent < d.Since {
		return
	}
	if d.Reason == Open {
		if d.failures++; d.failures >= enough {
			d.shut(why, now)
		}
		return
	}
	if d.Reason == Refused && why == Refused { // perhaps this one alone: others may have been taken
		if d.failures++; d.failures < inARow {
			return
		}
	}
	if d.Reason == Unreachable && why == Unreachable { // perhaps this one alone: it costs its own credit
		d.good = max(0, d.good-1)
		return
	}
	d.good, d.credit = 0, 0
	if d.Reason != Suspect && d.Reason != why {
		d.Reason = why
		d.Probe = now + d.wait()
	}
}

// spoke takes a 5xx to a push that was sent at sent, at a door that 5xx have closed, or at that
// of a topic. There it leaves open what was asked: another probe is due soon, unless many have
// gone. As long as there was a good answer not long ago, another item may be asked about in its
// place: thousands may fail on their own account, and those between them must go.
func (d *Door) spoke(sent, now time.Duration) {
	switch {
	case sent < d.Since:
		return
	case d.Reason == Unreachable:
		d.spoken = true
	case d.Reason == Topic:
		d.Probe = min(d.Probe, now+d.delays.after(d.vain))
	default:
		return
	}
	if d.faith > 0 {
		d.faith--
		d.credit++
	}
}

// lose notes that an answer was lost: the notification may have arrived. From now on only
// probes go.
func (d *Door) lose() { d.good, d.credit, d.faith, d.spoken, d.cut = 0, 0, 0, false, true }

// settled is how long a door has to be open, after answers were lost, before it is trusted.
const settled = 2 * time.Second

// shaky reports whether answers were lost lately. Items that were once left without an
// answer then go one at a time, for the second time they are given up.
func (d *Door) shaky(now time.Duration) bool {
	return d.cut && (d.Reason != Open || now-d.Since < settled)
}

func (d *Door) shut(why Reason, now time.Duration) {
	*d = Door{Reason: why, Since: now, Probes: d.Probes, cut: d.shaky(now), delays: d.delays}
	d.Probe = now + d.wait()
}

// open opens the door: the reason is proved to be gone, or nothing waits any
// more.
func (d *Door) open(now time.Duration) {
	*d = Door{Since: now, Probes: d.Probes, cut: d.cut, delays: d.delays}
}

// renewed notes that topic, credential or endpoint have changed, or that the
// operator asks for a try: a probe is due at once.
func (d *Door) renewed(now time.Duration) {
	*d = Door{Reason: d.Reason, Since: now, Probe: now, Probes: d.Probes, cut: d.cut, delays: d.delays}
}

// due gives how many probes are to go now, and counts them as gone.
func (d *Door) due(now time.Duration) (n int) {
	if d.Reason == Open || now < d.Probe {
		return 0
	}
	n = 1
	switch {
	case d.Reason == Suspect:
		n = min(1<<min(d.vain, 10), atATime)
	case d.spoken: // nearly all that were asked about may fail on their own account, and others may not
		n = spokenRounds[min(d.vain, len(spokenRounds)-1)]
	}
	d.vain++
	d.Probes += uint64(n)
	d.Probe = now + d.wait()
	return n
}

// fresh notes that an item has come that was never asked about: if the last probe left
// no such item, another probe is due soon.
func (d *Door) fresh(now time.Duration) {
	if d.stale {
		d.stale, d.Probe = false, min(d.Probe, now+d.delays.First)
	}
}

const (
	suspectRounds   = 10 // of probes, after which they come less often: each costs entries
	suspectDoubling = 4  // times that their interval doubles
)

func (d *Door) wait() time.Duration {
	switch d.Reason {
	case Unreachable:
		return d.delays.after(d.vain)
	case Refused: // another device soon shows whether only the first one is refused
		if d.vain == 0 {
			return d.delays.after(0)
		}
		return d.delays.Held << min(d.vain-1, 1)
	case Suspect:
		return d.delays.Held << max(0, min(d.vain-suspectRounds, suspectDoubling))
	}
	return d.delays.Held << min(d.vain, 1)
}
