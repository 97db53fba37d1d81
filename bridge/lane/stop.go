package lane

import (
	"container/heap"
	"time"
)

// Start begins with what is on disk. The owner has added a line for all of it.
func (l *Lane) Start(now Now) {
	l.now, l.stopped, l.Wake = now, false, true
	l.loading.set(nil)
	for _, n := range l.lines {
		l.search(n)
		for _, d := range n.every() {
			if d.state == out {
				continue
			}
			d.early = d.waitsAlone()
			l.forget(d)
			d.state = idle
			l.next(d)
		}
	}
}

// Found says that there is more on disk than the lane has put there. The owner has added
// a line for all of it.
func (l *Lane) Found() {
	l.Wake = true
	for _, n := range l.lines {
		l.search(n)
	}
}

// search has the disk searched for queues of n without an entry, once more if a search that has
// begun may be past them.
func (l *Lane) search(n *Line) {
	n.unlisted = l.Mode != Off
	n.missed = n.missed || l.reading || n.walked != nil
}

// Stop writes everything to disk, including what is with APNs, whose answers still
// count. Nothing is sent until Start.
func (l *Lane) Stop(now Now) {
	l.now, l.stopped, l.Wake = now, true, true
	l.draws = nil
	l.loading.set(nil)
	for _, n := range l.lines {
		for _, d := range n.every() {
			switch { // what else is asleep was written when it fell asleep
			case d.state == out:
				l.spill(d)
			case d.state == dozes:
				l.stow(d)
			case d.first != nil && !d.asleep():
				l.next(d)
			}
		}
	}
}

// Quiesce stops reading from disk: the process is about to end. It goes on as long as
// something cannot be written.
func (l *Lane) Quiesce(now Now) { l.now, l.quiet = now, true }

// keepsQuiet reports whether nothing is read because the process is about to end. What is in
// memory only and cannot be written would be lost then: APNs is the only way out for it, or with
// Always the room that others make, and what is on disk goes first.
func (l *Lane) keepsQuiet() bool {
	return l.quiet && (l.retry == 0 || l.unstored == 0 || l.Mode == Always && !l.full)
}

// every gives the devices of n.
func (n *Line) every() []*device {
	all := make([]*device, 0, len(n.devices))
	for _, d := range n.devices {
		all = append(all, d)
	}
	return all
}

// Renewed says that credential or endpoint have changed: what was learned under
// the old ones no longer counts.
func (l *Lane) Renewed(now Now) {
	l.now, l.Wake = now, true
	l.hurry()
	l.Door.renewed(now.Mono)
	for _, n := range l.lines {
		n.Door.renewed(now.Mono)
		n.Guard.renewed(now)
	}
}

// TopicRenewed says the same of the topic of one line.
func (l *Lane) TopicRenewed(n *Line, now Now) {
	l.now, l.Wake = now, true
	n.Door.renewed(now.Mono)
	n.Guard.renewed(now)
}

// hurry makes all devices that wait on their own account due: what was said about them may
// no longer be true. There may be very many, so they do not go all at once.
func (l *Lane) hurry() {
	for i, d := range l.waiting {
		if soon := l.now.Mono + time.Duration(i)*time.Second/hurried; soon < d.due {
			d.due, d.early = soon, true
		}
	}
	heap.Init(&l.waiting)
}

// hurried is how many of them go in a second.
const hurried = 5000

// Try makes a probe due at each door, and every device that waits on its own account,
// because the operator asks for it.
func (l *Lane) Try(now Now) {
	l.now, l.Wake = now, true
	l.hurry()
	l.Door.renewed(now.Mono)
	for _, n := range l.lines {
		n.Door.renewed(now.Mono)
	}
}

// Believe says, on the operator's word, that the tokens that APNs refuses really are bad.
func (l *Lane) Believe(now Now) {
	l.now, l.Wake = now, true
	for _, n := range l.lines {
		n.Guard.believe()
		if n.Door.Reason == Suspect {
			n.Door.open(now.Mono)
		}
	}
}

// Doubts sets how many different tokens arouse the suspicion of n's guard; 0 turns it
// off.
func (n *Line) Doubts(tokens int) { n.Guard.tokens = tokens }

// Under names the combination of credential, endpoint, environment and topic of n, in
// at most 255 bytes.
func (n *Line) Under(name string) { n.Guard.under = name }

// Recordable reports whether a token of n that APNs refused at the time at may go to
// the feedback list. save says that Record has changed.
func (n *Line) Recordable(token []byte, at time.Time) (ok, save bool) {
	if n.Door.Reason == Suspect {
		return false, false
	}
	return n.Guard.recordable(token, at)
}

// Record is what has to survive a restart of n.
func (n *Line) Record() []byte { return n.Guard.record(n.Door.Reason == Suspect) }

// Restore takes what Record gave before the restart.
func (l *Lane) Restore(n *Line, record []byte, now Now) error {
	suspect, err := n.Guard.restore(record, now)
	if suspect {
		n.Door.shut(Suspect, now.Mono)
	}
	return err
}
