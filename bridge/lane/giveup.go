package lane

import "slices"

// Spills reports whether an item is to be given up whose device has all that it may take of
// the disk: the device waits for itself, or for its topic, and others must not wait for that.
// Else it waits for room, as at a full disk: either nothing of the app goes, and what comes
// is not read, or its device is served, which makes room. At the end nothing waits.
func (l *Lane) Spills(it *Item) bool {
	shut := true
	for _, n := range l.lines {
		shut = shut && (l.closed(n) || n.Idle())
	}
	d := it.device // nil: it has come to its end meanwhile
	return l.stopped || d == nil || !shut && (d.state == waits || l.closed(it.Line))
}

// GiveUp ends the way of an item that can never be written: it is too large for the
// disk, or its device has all that it may take of it. It stands in puts, as Commit
// has left it there.
func (l *Lane) GiveUp(it *Item, now Now) {
	l.now, l.retry, l.Wake = now, 0, true
	d := it.device
	switch {
	case it.place == arriving:
		d.arriving--
	case it.place == chained && (it != d.first || d.state != out):
		l.unchain(d, it)
	case it.place == chained: // with APNs: there it stays, and others are written meanwhile
		it.write = unwritten
		l.puts.set(slices.DeleteFunc(l.puts.all(), func(p put) bool { return p.it == it }))
		return
	default: // it has come to its end, or stays on disk
		return
	}
	it.place = ending
	l.endIt(it, Crowded)
	if d.state == idle {
		l.next(d)
	}
}

// unchain takes it out of the chain of d, from wherever it stands.
func (l *Lane) unchain(d *device, it *Item) {
	if d.first == it {
		l.leave(d)
		return
	}
	before := d.first
	for before.behind != it {
		before = before.behind
	}
	if before.behind = it.behind; d.last == it {
		d.last = before
	}
	it.behind = nil
	l.free(it)
}

// Abandon ends the way of all that is in memory only: the process ends, and there is
// no disk, or it cannot be written. Nothing is with APNs any more.
func (l *Lane) Abandon(now Now) {
	l.now, l.stopped = now, true
	for _, p := range l.puts.all() {
		if it := p.it; it.place == arriving && it.ID == 0 {
			it.place = ending
			l.endIt(it, Abandoned)
		}
		if p.it.write = unwritten; p.it.place == left {
			l.done(p.it)
			l.Sink.Gone(p.it)
		}
	}
	l.puts.set(nil)
	for _, n := range l.lines {
		for _, d := range n.every() {
			for d.first != nil {
				it := l.leave(d)
				if it.ID != 0 {
					l.giveBack(d, it)
					continue
				}
				l.endIt(it, Abandoned)
			}
		}
	}
}
