package lane

import "time"

// Admit reports whether the upstream may write the request for an item that was
// sent to it. If not, the lane has taken the item back, and the upstream must not
// touch it again.
func (l *Lane) Admit(it *Item, now Now) bool {
	l.now = now
	d := it.device
	if !l.stopped && (!l.closed(d.line) || d.pass) {
		return true
	}
	l.recall(d)
	return false
}

// recall takes back the first item of d, which was sent to the upstream but never
// asked about at APNs.
func (l *Lane) recall(d *device) {
	l.comeBack(d)
	d.first.Flags.Attempts--
	l.next(d)
}

// comeBack notes that the upstream no longer has the first item of d.
func (l *Lane) comeBack(d *device) {
	d.state = idle
	if l.out--; d.first.Flags.Repeated {
		l.repeats--
	}
}

// Out is how many items the upstream has.
func (l *Lane) Out() int { return l.out }

// AnswersTake is how long the latest push with a good answer took, including its wait
// for its turn.
func (l *Lane) AnswersTake() time.Duration { return l.goodTook }

// Spare ends an item that was sent to the upstream but need not be asked about at
// APNs: it has expired, or is known to be refused. Finish follows.
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

// Answered takes the outcome of an attempt at an item. An item that is Over or
// GivenUp has left its chain; Finish follows once what has to be remembered of it is
// durable. If there is nothing to remember, finish makes Answered call Finish itself.
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
	if alone && c == CredentialRefused { // only this item is refused
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
		f.Attempts-- // the attempt never began
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

// askLater makes d wait as long as the number of tries demands, or gives up its first item
// after the last one. A try that came early, at a start or because the operator asked for
// it, does not count: a gateway that restarts again and again would otherwise give up too soon.
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

// ForItself reports whether c, the answer that has come for the item, says nothing about
// other items: this one has failed before, and they are being served. After a start
// everything that waits has failed before, and who is served is not known until one is.
func (l *Lane) ForItself(it *Item, c Class) bool {
	return (c == CredentialRefused || c == Failed || c == NoAnswer) && it.Flags.Failures > 0 &&
		(!l.closed(it.Line) && l.served(it.Line, c) > 0 || l.alone(it, c))
}

// served is when the last push was sent that had a good answer, of all those that c, an
// answer in line n, may concern: a 5xx concerns its line alone. 0: none since the start.
func (l *Lane) served(n *Line, c Class) time.Duration {
	if c == Failed {
		return n.lastGood
	}
	return l.lastGood
}

// slowAfter is how much longer than others a request may go without an answer before
// it counts as slow.
const slowAfter = time.Second

// Slow reports whether the item, or the one it waits behind, is with APNs and gets no
// answer, while pushes that were sent at about the same time or later have one. Time that
// others spent waiting for their turn, when more is sent than APNs takes, does not count.
func (l *Lane) Slow(it *Item, now Now) bool {
	if l.byName[it.Line.Name] != it.Line || it.place != chained {
		return false
	}
	d := it.device
	return d.state == out && now.Mono-d.sent > slowAfter+l.goodTook && l.lastGood > max(0, d.sent-slowAfter)
}

// alone reports whether others were served since the item last failed; after a 5xx, others
// of its line.
func (l *Lane) alone(it *Item, c Class) bool {
	return it.Flags.Failures > 0 && l.served(it.Line, c) > it.device.failed
}

// over ends the first item of d.
func (l *Lane) over(d *device, f Fate) Fate {
	l.leave(d)
	l.next(d)
	return f
}

// Recall takes back an item that was sent to the upstream but never asked about at
// APNs: it will go another way.
func (l *Lane) Recall(it *Item, now Now) {
	l.now = now
	d := it.device
	l.recall(d)
}
