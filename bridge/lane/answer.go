package lane

import "time"

// Admit reports whether the upstream is to write the request for it, which was
// handed on. If not, the lane has it back, and the upstream must not touch it
// again.
func (l *Lane) Admit(it *Item, now Now) bool {
	l.now = now
	d := it.device
	if !l.stopped && (!l.closed(d.line) || d.pass) {
		return true
	}
	l.recall(d)
	return false
}

// recall takes back the first of d, which was handed on and about which APNs was
// not asked.
func (l *Lane) recall(d *device) {
	l.comeBack(d)
	d.first.Flags.Attempts--
	l.next(d)
}

// comeBack says that the first of d is not with the upstream any more.
func (l *Lane) comeBack(d *device) {
	d.state = idle
	if l.out--; d.first.Flags.Repeated {
		l.repeats--
	}
}

// Out is how many items were handed on, and have not come back.
func (l *Lane) Out() int { return l.out }

// Spare ends the way of an item that was handed on, and about which APNs need not be
// asked: it has expired, or is known to be refused. Finish follows.
func (l *Lane) Spare(it *Item, now Now) {
	l.now = now
	d := it.device
	l.comeBack(d)
	if d.pass {
		l.waste(d)
	}
	l.leave(d)
	l.next(d)
}

// Answered takes the end of an attempt at it. One that is Over or GivenUp has left
// its chain; Finish follows when what is to be remembered of it is durable. With
// nothing to remember, it may be called with finish set.
func (l *Lane) Answered(it *Item, c Class, finish bool, now Now) (f Fate, gone bool) {
	f = l.answered(it, c, now)
	return f, finish && f == Over && l.Finish(it)
}

func (l *Lane) answered(it *Item, c Class, now Now) Fate {
	l.now = now
	d := it.device
	n, mono := d.line, now.Mono
	closed := l.closed(n)
	alone := l.alone(it)
	if alone && c == CredentialRefused { // it is refused for itself
		c = Strange
	} else {
		l.tellDoors(d, it, c, alone)
	}
	l.comeBack(d)
	d.pass = false
	l.Wake = l.Wake || closed || l.closed(n)
	f := &it.Flags
	if c != Unlooked {
		f.Unlooked = 0
	}
	switch c {
	case Accepted, Gone, Malformed:
		return l.over(d, Over)
	case BadToken:
		if n.Door.Reason != Suspect {
			return l.over(d, Over)
		}
	case Throttled:
		if int(f.Throttled) >= len(throttled) {
			return l.over(d, GivenUp)
		}
		f.Throttled++
		l.park(d, throttled[f.Throttled-1])
		return Waits
	case Strange:
		if int(f.Strange) >= len(strange) {
			return l.over(d, GivenUp)
		}
		f.Strange++
		l.park(d, strange[f.Strange-1])
		return Waits
	case Unlooked:
		if increment(&f.Unlooked); f.Unlooked > 1 {
			l.park(d, l.delays.after(int(f.Unlooked)-2))
			return Waits
		}
	case NoConnection:
		f.Attempts-- // it was not begun
	case NoAnswer:
		if f.Repeated {
			return l.over(d, GivenUp)
		}
		f.Repeated = true
		fallthrough
	case Failed, CredentialRefused, TopicRefused:
		increment(&f.Failures)
		d.failed = mono
		if !l.closed(n) || alone && c >= Failed {
			l.park(d, l.delays.after(int(f.Failures)-1))
			return Waits
		}
	}
	l.next(d)
	return Waits
}

// ForItself reports whether c, the answer to it that has come, says nothing about
// others: it has failed before, and these are served.
func (l *Lane) ForItself(it *Item, c Class) bool {
	return (c == CredentialRefused || c == Failed || c == NoAnswer) && it.Flags.Failures > 0 && (l.Door.Reason == Open || l.alone(it))
}

// slowAfter is how long a request gets no answer until it is slow, if others do.
const slowAfter = time.Second

// Slow reports whether it, or what it waits behind, is with APNs and gets no answer,
// while what was sent at about the same time, or later, has one.
func (l *Lane) Slow(it *Item, now Now) bool {
	if l.byName[it.Line.Name] != it.Line || it.place != chained {
		return false
	}
	d := it.device
	return d.state == out && now.Mono-d.sent > slowAfter && l.lastGood > max(0, d.sent-slowAfter)
}

// alone reports whether others were served since it last failed.
func (l *Lane) alone(it *Item) bool {
	return it.Flags.Failures > 0 && l.lastGood > it.device.failed
}

// over ends the way of the first of d.
func (l *Lane) over(d *device, f Fate) Fate {
	l.leave(d)
	l.next(d)
	return f
}

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
	case Failed, NoAnswer:
		if it.Flags.Failures == 0 || l.Door.Reason != Open && !alone {
			enough := inARow // of lost answers: it is a connection that fails, and not they
			if c == Failed {
				enough = l.enough(sent)
			}
			l.Door.failed(Unreachable, enough, sent, now)
		}
		switch {
		case c == Failed:
			l.Door.spoke(sent)
		case l.Door.Reason != Open: // each may double, or be given up
			l.Door.lose()
			l.draws, l.cut = nil, true
		}
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
		l.lastGood = max(l.lastGood, sent)
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

// enough is how many failures in a row close the lane's door, of which this one was
// sent then. Where APNs has answered well to what was sent a moment before, or after,
// a clump of notifications that fail for themselves must not stop the others: a real
// outage brings as many failures as soon.
func (l *Lane) enough(sent time.Duration) int {
	if l.lastGood > l.Door.Since && sent-l.lastGood < time.Second {
		return amid
	}
	return inARow
}

// Recall takes an item back that was handed on and about which APNs was not asked:
// it goes another way.
func (l *Lane) Recall(it *Item, now Now) {
	l.now = now
	d := it.device
	l.recall(d)
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
