package lane

import "slices"

// Enter takes in what was read from disk.
func (l *Lane) Enter(reads []*Read, now Now) {
	l.now, l.Wake = now, true
	defer func() { l.reading = false }() // until then, what a list has missed counts
	for _, n := range l.lines {
		n.reading = false
	}
	for _, r := range reads {
		if r.device != nil {
			l.enterQueue(r)
		}
	}
	for _, r := range reads {
		if r.Err != nil {
			l.unread = now.Mono + l.Retry
		}
		if r.From == List {
			l.enterList(r)
			continue
		}
		for _, it := range r.Broken {
			l.enterBroken(it)
		}
		moved := len(r.Got) > 0
		for _, it := range r.Got {
			l.ahead += it.Size
			credit, limit := l.opens(it.Line)
			goes := l.enterRead(it, r.pass, r.From != Log || limit > 0)
			if goes && r.From == Log && credit != nil {
				*credit-- // moving an item to its queue costs nothing
			}
			moved = moved && it.place == moving
		}
		if r.From == Log {
			r.Lines[0].stride = 0
			if !moved {
				l.dry(r.Lines, false)
			} else { // there may be 100,000 of one device, at a door with credit for one
				r.Lines[0].stride = min(2*len(r.Got), ofLog)
			}
		}
		if r.From == Sample {
			l.enterSample(r)
		}
	}
}

// enterSample makes sure that a probe goes even if nothing that r has read does: nothing was
// found, it cannot be read, or its device waits on its own account.
func (l *Lane) enterSample(r *Read) {
	got := len(r.Got) + len(r.Broken)
	if got < r.Limit {
		l.dry(r.Lines, slices.ContainsFunc(r.Lines, l.logged))
	}
	if r.door != nil {
		r.door.credit += r.Limit - got
		return
	}
	if got == 0 {
		l.askAgain(r.Lines, r.Limit)
	}
	all := slices.Concat(r.Got, r.Broken)
	if len(all) > 0 && !slices.ContainsFunc(all, func(it *Item) bool {
		d, _ := it.Line.find(it.Token)
		return d != nil && d.state == out
	}) {
		l.probeAgain(all[0].Line)
	}
}

// dry notes whether the logs of ns are to be read from their beginning, because everything
// that was looked at belongs to devices that wait.
func (l *Lane) dry(ns []*Line, is bool) {
	l.Door.dry = is
	for _, n := range ns {
		n.Door.dry = is
	}
}

// enterQueue subtracts what was read of a device's queue from its counts.
func (l *Lane) enterQueue(r *Read) {
	d := r.device
	d.moving--
	n := int32(len(r.Got) + len(r.Broken))
	d.moving += n
	d.queued = max(0, d.queued-n)
	switch {
	case n > 0:
	case d.state != loads: // the lane was stopped meanwhile, and started again
		if d.state == idle {
			l.next(d)
		}
	case r.Skipped:
		l.loading.push(d)
	case r.Err != nil:
		l.park(d, l.Retry)
	default:
		d.state, d.queued = idle, 0 // what gives nothing is empty
		l.next(d)
	}
}

// enterBroken ends an item that cannot be read: it is the next one's turn.
func (l *Lane) enterBroken(it *Item) {
	d := l.device(it.Line, it.Token)
	if it.stored == inQueue {
		d.moving--
	}
	it.place = ending
	l.endIt(it, Unreadable)
	if d.state == idle || it.stored == inQueue && d.state == loads {
		l.next(d)
	}
}

// enterRead takes in one item that was read. With pass it goes through closed doors; without
// room it goes back to the log, unless it belongs in its device's queue. It reports whether
// the item is now in its device's chain.
func (l *Lane) enterRead(it *Item, pass, room bool) bool {
	n := it.Line
	d := l.device(n, it.Token)
	l.putAway(d)
	switch {
	case it.stored == inQueue:
		d.moving--
	case it.ID > n.returned, !room && !d.owns(): // in the first case an older one has come back meanwhile
		l.giveBack(d, it)
		if d.state == idle {
			l.next(d)
		}
		return false
	case d.owns():
		d.moving++
		it.device, it.place = d, moving
		l.put(it)
		return false
	}
	if d.state == loads {
		d.state = idle
	}
	d.pass = d.pass || pass && d.state == idle
	l.enter(d, it)
	return true
}

// enterList makes entries for devices that have a queue but no entry.
func (l *Lane) enterList(r *Read) {
	n := r.Lines[0]
	for _, token := range r.Devices {
		if d, _ := n.find(token); d != nil {
			continue
		}
		n.missed = true
		d := l.device(n, token)
		if d.state == waits { // its wait is over: it is due now
			l.forget(d)
		}
		d.state, d.queued, d.late, d.early = idle, unknownMany, true, true
		l.next(d)
	}
	if r.Err != nil {
		return
	}
	if len(r.Devices) == r.Limit {
		n.walked = r.Devices[len(r.Devices)-1]
		return
	}
	n.walked, n.unlisted, n.missed = nil, n.missed, false
}
