package lane

import "time"

// Reason is why a door is closed. Unreachable and Refused close a lane's door;
// Unreachable, Topic and Suspect that of one line.
type Reason uint8

// The reasons.
const (
	Open        Reason = iota
	Unreachable        // no connection, 5xx, or no answers
	Refused            // APNs does not take the credential
	Topic              // nor the topic
	Suspect            // APNs refuses one token after another: the app is misconfigured
)

// String is the reason in words.
func (r Reason) String() string {
	return [...]string{"open", "unreachable", "credential refused", "topic refused", "suspect"}[r]
}

const (
	atOnce  = 1  // failure closes a door, if it says enough
	inARow  = 5  // failures do,
	amid    = 64 // or, amid good answers, so many: some in a clump may fail for themselves
	proved  = 64 // more good answers than failures, that open it
	eased   = 2  // how many more may go for each good answer
	atATime = 64 // probes, at most, where one good answer proves all
)

// spokenRounds are how many probes go at a time where APNs answers, with 5xx: soon so many
// that it is an outage if all fail.
var spokenRounds = [...]int{1, 4, 16, 64, 4}

// Delays are the waits of doors, and of notifications that wait for themselves.
type Delays struct {
	First, Most time.Duration  // after a failure: First, twice that, and so on up to Most
	Held        time.Duration  // between probes where only the operator can mend it
	Random      func() float64 // at least 0 and less than 1
}

// after is the wait behind n failures more than one. What many wait for at once
// must not be asked for by all at the same moment: so the last half of each wait is
// left to chance.
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
	Since  time.Duration // its last change; verdicts on what was sent before say nothing
	Probe  time.Duration // when the next is due
	Probes uint64        // that it has let through, ever

	delays   *Delays
	credit   int  // how many of those that wait may go
	failures int  // in a row
	vain     int  // rounds of probes in a row, while it is closed
	dry      bool // the last draw from the logs found none that may go
	stale    bool // the last probe left none that was never asked
	spoken   bool // the last failure was an answer, a 5xx: to ask more at once costs an attempt each
	faith    int  // how many 5xx more are believed to be those of a few that fail for themselves
	cut      bool // answers were lost behind it, and it has not been open for settled since
	good     int  // answers that show that the reason is over, less the failures since
}

// proves reports whether an answer of class c shows that the reason is over.
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

// answered takes an answer that is not the door's own failure, to what was sent
// then.
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

// failed takes an answer that others would have had as well, to what was sent
// then. So many of them in a row close the door.
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
	if d.Reason == Refused && why == Refused { // perhaps for itself: others may have been taken
		if d.failures++; d.failures < inARow {
			return
		}
	}
	if d.Reason == Unreachable && why == Unreachable { // perhaps for itself: it costs its own credit
		d.good = max(0, d.good-1)
		return
	}
	d.good, d.credit = 0, 0
	if d.Reason != Suspect && d.Reason != why {
		d.Reason = why
		d.Probe = now + d.wait()
	}
}

// spoke takes a 5xx to what was sent then, behind a door that 5xx have closed. As long as
// a good answer is not far, another may be asked in its place: thousands may fail for
// themselves, and those between them must go.
func (d *Door) spoke(sent time.Duration) {
	if d.Reason != Unreachable || sent < d.Since {
		return
	}
	if d.spoken = true; d.faith > 0 {
		d.faith--
		d.credit++
	}
}

// lose takes it that an answer was lost: what was asked may have arrived. Probes only.
func (d *Door) lose() { d.good, d.credit, d.faith, d.spoken, d.cut = 0, 0, 0, false, true }

// settled is how long a door is open, after answers were lost, until it is believed.
const settled = 2 * time.Second

// shaky reports whether answers were lost lately. Then what was asked without an answer
// goes one at a time: the second time it is given up.
func (d *Door) shaky(now time.Duration) bool {
	return d.cut && (d.Reason != Open || now-d.Since < settled)
}

func (d *Door) shut(why Reason, now time.Duration) {
	*d = Door{Reason: why, Since: now, Probes: d.Probes, cut: d.shaky(now), delays: d.delays}
	d.Probe = now + d.wait()
}

// open opens the door: the reason is proved to be over, or nothing waits any
// more.
func (d *Door) open(now time.Duration) {
	*d = Door{Since: now, Probes: d.Probes, cut: d.cut, delays: d.delays}
}

// renewed says that topic, credential or endpoint have changed, or that the
// operator wants it tried: a probe is due at once.
func (d *Door) renewed(now time.Duration) {
	*d = Door{Reason: d.Reason, Since: now, Probe: now, Probes: d.Probes, cut: d.cut, delays: d.delays}
}

// due gives how many probes are to go now, and notes that they do.
func (d *Door) due(now time.Duration) (n int) {
	if d.Reason == Open || now < d.Probe {
		return 0
	}
	n = 1
	switch {
	case d.Reason == Suspect:
		n = min(1<<min(d.vain, 10), atATime)
	case d.spoken: // nearly all of those that were asked may fail for themselves, and others not
		n = spokenRounds[min(d.vain, len(spokenRounds)-1)]
	}
	d.vain++
	d.Probes += uint64(n)
	d.Probe = now + d.wait()
	return n
}

// fresh says that one has come that was never asked: if the last probe left none,
// another is due soon.
func (d *Door) fresh(now time.Duration) {
	if d.stale {
		d.stale, d.Probe = false, min(d.Probe, now+d.delays.First)
	}
}

const (
	suspectRounds   = 10 // of probes, after which they come less often: each costs entries
	suspectDoubling = 4  // times
)

func (d *Door) wait() time.Duration {
	switch d.Reason {
	case Unreachable:
		return d.delays.after(d.vain)
	case Refused: // another device soon tells whether it is the first one's alone
		if d.vain == 0 {
			return d.delays.after(0)
		}
		return d.delays.Held << min(d.vain-1, 1)
	case Suspect:
		return d.delays.Held << max(0, min(d.vain-suspectRounds, suspectDoubling))
	}
	return d.delays.Held << min(d.vain, 1)
}
