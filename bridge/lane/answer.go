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

// AnswersTake is how long the latest push that had a good answer was on its way, its wait
// for its turn included.
func (l *Lane) AnswersTake() time.Duration { return l.goodTook }

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
	alone := l.alone(it, c)
	if alone && c == CredentialRefused { // it is refused for itself
		c = Strange
	} else {
		l.tellDoors(d, it, c, alone)
	}
	l.comeBack(d)
	early := d.early
	d.pass, d.early = false, false
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
		return l.askLater(d, &f.Throttled, throttled[:], early)
	case Strange:
		return l.askLater(d, &f.Strange, strange[:], early)
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

// askLater has d wait as long as is due behind so many tries, or gives its first up behind
// the last one. One that was early, at a start or because the operator wanted it, does not
// count: a gateway that restarts again and again has not tried for as long as it should.
func (l *Lane) askLater(d *device, tries *uint8, waits []time.Duration, early bool) Fate {
	if !early || *tries == 0 {
		if int(*tries) >= len(waits) {
			return l.over(d, GivenUp)
		}
		*tries++
	}
	l.park(d, waits[*tries-1])
	return Waits
}

// ForItself reports whether c, the answer to it that has come, says nothing about
// others: it has failed before, and these are served. After a start all that waits has
// failed before, and who is served is not known until one is.
func (l *Lane) ForItself(it *Item, c Class) bool {
	return (c == CredentialRefused || c == Failed || c == NoAnswer) && it.Flags.Failures > 0 &&
		(!l.closed(it.Line) && l.served(it.Line, c) > 0 || l.alone(it, c))
}

// served is when the last push was sent that had a good answer, of all that c, one to n,
// may concern: with a 5xx that is its line; 0: there was none since the start.
func (l *Lane) served(n *Line, c Class) time.Duration {
	if c == Failed {
		return n.lastGood
	}
	return l.lastGood
}

// slowAfter is how much longer than others a request is without an answer until it is
// slow.
const slowAfter = time.Second

// Slow reports whether it, or what it waits behind, is with APNs and gets no answer,
// while what was sent at about the same time, or later, has one. What others had to wait
// for their turn, where more is sent than APNs takes, says nothing about it.
func (l *Lane) Slow(it *Item, now Now) bool {
	if l.byName[it.Line.Name] != it.Line || it.place != chained {
		return false
	}
	d := it.device
	return d.state == out && now.Mono-d.sent > slowAfter+l.goodTook && l.lastGood > max(0, d.sent-slowAfter)
}

// alone reports whether others were served since it last failed; with a 5xx, others of
// its line.
func (l *Lane) alone(it *Item, c Class) bool {
	return it.Flags.Failures > 0 && l.served(it.Line, c) > it.device.failed
}

// over ends the way of the first of d.
func (l *Lane) over(d *device, f Fate) Fate {
	l.leave(d)
	l.next(d)
	return f
}

// Recall takes an item back that was handed on and about which APNs was not asked:
// it goes another way.
func (l *Lane) Recall(it *Item, now Now) {
	l.now = now
	d := it.device
	l.recall(d)
}
