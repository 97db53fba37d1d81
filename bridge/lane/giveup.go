package lane

import "slices"

// Spills reports whether an item is to be given up because its device has reached its limit
// on disk. It is if the device waits on its own account or for its topic, for others must not
// wait for that. Otherwise the item waits for room, as it does when the disk is full: either
// nothing of the app goes, and connections are not read, or the device is being served, which
// makes room. When the process ends, nothing waits.
func (l *Lane) Spills(it *Item) bool {
	shut := true
	for _, n := range l.lines {
		shut = shut && (l.closed(n) || n.Idle())
	}
	d := it.device // nil: the item has ended meanwhile
	return l.stopped || d == nil || !shut && (d.waitsAlone() || l.closed(it.Line))
}

// GiveUp ends an item that can never be written: it is too large for the disk, or its
// device has reached its limit there. The item is in puts, where Commit has left it.
func (l *Lane) GiveUp(it *Item, now Now) {
	l.now, l.retry, l.Wake = now, 0, true
	d := it.device
	switch {
	case it.place == arriving:
		d.arriving--
	case it.place == chained && (it != d.first || d.state != out):
		l.unchain(d, it)
	case it.place == chained: // with APNs: it stays there, and others are written meanwhile
		it.write = unwritten
		l.puts.set(slices.DeleteFunc(l.puts.all(), func(p put) bool { return p.it == it }))
		return
	default: // it has ended, or stays on disk
		return
	}
	it.place = ending
	l.endIt(it, Crowded)
	if d.state == idle {
		l.next(d)
	}
}

// unchain takes the item out of the chain of d, wherever it stands there.
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

// Abandon ends everything that is in memory only: the process ends, and there is no
// disk, or it cannot be written. Nothing is with APNs any more.
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
