package lane

import (
	"container/heap"
	"time"
)

// Start takes up what is on disk. Lines are there for all that is.
func (l *Lane) Start(now Now) {
	l.now, l.stopped, l.Wake = now, false, true
	l.loading.set(nil)
	for _, n := range l.lines {
		n.unlisted = l.Mode != Off
		n.restarts = n.unlisted
		for _, d := range n.every() {
			if d.state == out {
				continue
			}
			d.early = d.state == waits
			l.forget(d)
			d.state = idle
			l.next(d)
		}
	}
}

// Found says that there is more on disk than the lane has put there. Lines are there for
// all that is.
func (l *Lane) Found() {
	l.Wake = true
	for _, n := range l.lines {
		n.unlisted = l.Mode != Off
	}
}

// Stop has all go to disk, also what is with APNs: answers to it still count.
// Nothing is sent until Start.
func (l *Lane) Stop(now Now) {
	l.now, l.stopped, l.Wake = now, true, true
	l.draws = nil
	l.loading.set(nil)
	for _, n := range l.lines {
		for _, d := range n.every() {
			switch { // what is asleep was put when it fell asleep
			case d.state == out:
				l.spill(d)
			case d.first != nil && !d.asleep():
				l.next(d)
			}
		}
	}
}

// Quiesce lets nothing more be read from disk: the end is near.
func (l *Lane) Quiesce(now Now) { l.now, l.quiet = now, true }

// every gives the devices of n.
func (n *Line) every() []*device {
	all := make([]*device, 0, len(n.devices))
	for _, d := range n.devices {
		all = append(all, d)
	}
	return all
}

// Renewed says that credential or endpoint have changed: what was learned under
// the old ones says nothing.
func (l *Lane) Renewed(now Now) {
	l.now, l.Wake = now, true
	l.hurry()
	l.Door.renewed(now.Mono)
	for _, n := range l.lines {
		n.Door.renewed(now.Mono)
		n.Guard.renewed(now)
	}
}

// TopicRenewed says the same of the configured topic, of one line.
func (l *Lane) TopicRenewed(n *Line, now Now) {
	l.now, l.Wake = now, true
	n.Door.renewed(now.Mono)
	n.Guard.renewed(now)
}

// hurry makes all devices that wait for themselves due: what was said about them may not
// be true any more. There may be very many, which do not go all at once.
func (l *Lane) hurry() {
	for i, d := range l.waiting {
		if soon := l.now.Mono + time.Duration(i)*time.Second/hurried; soon < d.due {
			d.due, d.early = soon, true
		}
	}
	heap.Init(&l.waiting)
}

// hurried is how many that waited for themselves go in a second.
const hurried = 5000

// Try makes a probe due at each door, and all that waits for itself, as the operator
// wants it.
func (l *Lane) Try(now Now) {
	l.now, l.Wake = now, true
	l.hurry()
	l.Door.renewed(now.Mono)
	for _, n := range l.lines {
		n.Door.renewed(now.Mono)
	}
}

// Believe says that the tokens that APNs refuses are really bad, on the operator's
// word.
func (l *Lane) Believe(now Now) {
	l.now, l.Wake = now, true
	for _, n := range l.lines {
		n.Guard.believe()
		if n.Door.Reason == Suspect {
			n.Door.open(now.Mono)
		}
	}
}

// Doubts sets how many different tokens arouse the suspicion of n's guard; 0: it is
// off.
func (n *Line) Doubts(tokens int) { n.Guard.tokens = tokens }

// Under says which credential, endpoint, environment and topic n is under, by a
// name of at most 255 bytes.
func (n *Line) Under(name string) { n.Guard.under = name }

// Recordable reports whether a token of n that APNs has refused, in a push sent at
// the time at, may go to the feedback list. save says that Record has changed.
func (n *Line) Recordable(token []byte, at time.Time) (ok, save bool) {
	if n.Door.Reason == Suspect {
		return false, false
	}
	return n.Guard.recordable(token, at)
}

// Record is what is to be remembered of n over a restart.
func (n *Line) Record() []byte { return n.Guard.record(n.Door.Reason == Suspect) }

// Restore takes what Record gave before the restart.
func (l *Lane) Restore(n *Line, record []byte, now Now) error {
	suspect, err := n.Guard.restore(record, now)
	if suspect {
		n.Door.shut(Suspect, now.Mono)
	}
	return err
}
