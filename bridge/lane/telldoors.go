package lane

import (
	"slices"
	"time"
)

// tellDoors says what c, an answer to the first of d, means to others. alone says
// that others were served since it last failed.
func (l *Lane) tellDoors(d *device, it *Item, c Class, alone bool) {
	n, sent, now := d.line, d.sent, l.now.Mono
	switch c {
	case Renewed:
		return
	case NoConnection:
		l.Door.failed(Unreachable, atOnce, sent, now)
		return
	case Failed:
		l.tellFailed(n, sent, it.Flags.Failures == 0, alone)
		return
	case NoAnswer: // it is a connection that fails, and not they
		if it.Flags.Failures == 0 || l.Door.Reason != Open && !alone {
			l.Door.failed(Unreachable, inARow, sent, now)
		}
		l.lose(n)
		return
	case Unlooked:
		return
	case CredentialRefused:
		enough := inARow
		if l.lastGood <= l.Door.Since {
			enough = atOnce
		}
		l.Door.failed(Refused, enough, sent, now)
		return
	case TopicRefused:
		l.Door.answered(c, sent, now)
		n.Door.failed(Topic, inARow, sent, now)
		return
	}
	if c <= Throttled {
		if sent >= l.lastGood {
			l.lastGood, l.goodTook = sent, now-sent
		}
		n.lastGood = max(n.lastGood, sent)
	}
	l.Door.answered(c, sent, now)
	n.Door.answered(c, sent, now)
	switch c {
	case Accepted:
		if n.Guard.accept(sent, l.now) {
			l.Sink.Ruled(n, Ruling{Save: true})
		}
		if n.Door.Reason == Suspect && sent >= n.Guard.since { // also of one that was with APNs when it was closed
			n.Door.open(now)
		}
	case BadToken:
		if n.Door.Reason == Suspect {
			return
		}
		ruling := n.Guard.refuse(it.Token, sent, l.now)
		if ruling.Hold {
			n.Door.shut(Suspect, now)
		}
		if ruling.Alarm || ruling.Save {
			l.Sink.Ruled(n, ruling)
		}
	}
}

// tellFailed takes a 5xx of n, to what was sent then. It closes the door of n, for one
// topic may always be answered so. That of the lane is closed when it is an outage.
// first is that it is the first failure of its notification.
func (l *Lane) tellFailed(n *Line, sent time.Duration, first, alone bool) {
	now := l.now.Mono
	if l.Door.Reason != Open {
		if first || !alone {
			l.Door.failed(Unreachable, inARow, sent, now)
		}
		l.Door.spoke(sent)
	}
	if n.Door.Reason == Topic || n.Door.Reason == Suspect {
		return
	}
	if first || n.Door.Reason != Open && !alone {
		enough := inARow
		if n.Door.amid(n.lastGood, sent) {
			enough = amid
		}
		n.Door.failed(Unreachable, enough, sent, now)
	}
	n.Door.spoke(sent)
	if l.Door.Reason == Open && !l.Door.amid(l.lastGood, sent) && l.down(n) {
		l.Door.shut(Unreachable, now)
	}
}

// amid reports whether a failure of what was sent then is one amid good answers, of which the
// last was to what was sent at good: a clump of notifications that fail for themselves must
// not stop the others, and a real outage brings as many failures as soon.
func (d *Door) amid(good, sent time.Duration) bool { return good > d.Since && sent-good < time.Second }

// down reports whether 5xx have closed the doors of n and of another line, and nothing that was
// sent since had a good answer: it is an outage, and one probe is enough for all lines.
func (l *Lane) down(n *Line) bool {
	lost := func(x *Line) bool { return x.Door.Reason == Unreachable && x.Door.Since > l.lastGood }
	return lost(n) && slices.ContainsFunc(l.lines, func(x *Line) bool { return x != n && lost(x) })
}

// lose takes it that an answer to one of n was lost. Behind closed doors each that is asked may
// double, or be given up.
func (l *Lane) lose(n *Line) {
	if l.Door.Reason != Open {
		l.Door.lose()
	}
	if n.Door.Reason == Unreachable {
		n.Door.lose()
	}
	if l.closed(n) {
		l.draws = slices.DeleteFunc(l.draws, func(w draw) bool { return slices.Contains(w.lines, n) })
	}
}

// Trouble takes what APNs says of a connection, and not of one notification.
func (l *Lane) Trouble(c Class, now Now) {
	l.now, l.Wake = now, true
	switch c {
	case CredentialRefused, TopicRefused, Renewed:
		l.Door.failed(Refused, atOnce, now.Mono, now.Mono)
	case Failed, NoConnection:
		enough := inARow
		if c == NoConnection {
			enough = atOnce
		}
		l.Door.failed(Unreachable, enough, now.Mono, now.Mono)
	}
}

// LineTrouble takes what APNs says of a connection that is for n, and not for all of
// the lane.
func (l *Lane) LineTrouble(n *Line, now Now) {
	l.now, l.Wake = now, true
	n.Door.failed(Topic, atOnce, now.Mono, now.Mono)
}
