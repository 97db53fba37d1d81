package lane

import (
	"slices"
	"time"
)

// tellDoors tells the doors what c, an answer to the first item of d, means for others.
// alone says that others were served since the item last failed.
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
	case NoAnswer: // a connection has failed, and not its notifications
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
		if n.Door.Reason == Suspect && sent >= n.Guard.since { // even one that was with APNs when it was closed
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

// tellFailed takes a 5xx to a push of n that was sent at sent. Such answers close the door
// of n, for one topic may always get them; the lane's door closes when it is an outage.
// first says that it is the first failure of its notification.
func (l *Lane) tellFailed(n *Line, sent time.Duration, first, alone bool) {
	now := l.now.Mono
	if l.Door.Reason != Open {
		if first || !alone {
			l.Door.failed(Unreachable, inARow, sent, now)
		}
		l.Door.spoke(sent, now)
	}
	switch n.Door.Reason {
	case Topic:
		n.Door.spoke(sent, now)
		return
	case Suspect:
		return
	}
	if first || n.Door.Reason != Open && !alone {
		enough := inARow
		if n.Door.amid(n.lastGood, sent) {
			enough = amid
		}
		n.Door.failed(Unreachable, enough, sent, now)
	}
	n.Door.spoke(sent, now)
	if l.Door.Reason == Open && !l.Door.amid(l.lastGood, sent) && l.down(n) {
		l.Door.shut(Unreachable, now)
	}
}

// amid reports whether a push that was sent at sent has failed amid good answers, the last of
// them to a push sent at good. A clump of notifications that fail on their own account must
// not stop the others, and a real outage soon brings as many failures.
func (d *Door) amid(good, sent time.Duration) bool { return good > d.Since && sent-good < time.Second }

// down reports whether 5xx have closed the doors of n and of another line, and nothing sent
// since has had a good answer: then it is an outage, and one probe is enough for all lines.
func (l *Lane) down(n *Line) bool {
	lost := func(x *Line) bool { return x.Door.Reason == Unreachable && x.Door.Since > l.lastGood }
	return lost(n) && slices.ContainsFunc(l.lines, func(x *Line) bool { return x != n && lost(x) })
}

// lose notes that an answer to an item of n was lost. While doors are closed, every item that
// is asked about may be delivered twice, or be given up.
func (l *Lane) lose(n *Line) {
	if l.Door.Reason != Open {
		l.Door.lose()
	}
	if n.Door.Reason == Unreachable || n.Door.Reason == Topic {
		n.Door.lose()
	}
	if l.closed(n) {
		l.draws = slices.DeleteFunc(l.draws, func(w draw) bool { return slices.Contains(w.lines, n) })
	}
}

// Trouble takes what APNs says of a connection rather than of one notification.
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

// LineTrouble takes what APNs says of a connection that serves only n, and not the whole
// lane.
func (l *Lane) LineTrouble(n *Line, now Now) {
	l.now, l.Wake = now, true
	n.Door.failed(Topic, atOnce, now.Mono, now.Mono)
}
