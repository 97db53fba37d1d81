package lane

import (
	"math"
	"slices"
	"time"
)

// Tend does what is due: it wakes the devices whose time has come, and lets go who
// may go through the doors.
func (l *Lane) Tend(now Now) {
	l.now, l.Wake = now, false
	if l.stopped {
		return
	}
	for len(l.waiting) > 0 && l.waiting[0].due <= now.Mono {
		d := l.waiting[0]
		l.forget(d)
		d.late = true
		l.next(d)
	}
	if l.expires != 0 && l.expires <= now.Wall {
		l.sweep()
	}
	l.openDoors()
	l.cut = l.shaky()
	switch {
	case l.givesWay():
		l.fullAt = now.Mono
		l.giveWay()
	case now.Mono-l.fullAt >= fullFor:
		l.fullSince = 0
	}
}

// sweep ends what has expired in memory while its device is asleep: it must not hold
// memory for as long as a door is closed.
func (l *Lane) sweep() {
	l.expires = 0
	var expired []*device
	look := func(all []*device) {
		for _, d := range all {
			switch {
			case d == nil || d.first == nil || d.first.Expires == 0:
			case d.first.Expires <= l.now.Wall:
				expired = append(expired, d)
			default:
				l.expireAt(d)
			}
		}
	}
	look(l.waiting)
	for _, n := range l.lines {
		look(n.atDoor.never.list)
		look(n.atDoor.late.list)
	}
	for _, d := range expired {
		l.forget(d)
		l.next(d)
	}
}

// Next is when the lane's goroutine has something to do at the latest.
func (l *Lane) Next() (at int64) {
	if l.Wake || l.mayWrite() || l.mayRead() {
		return int64(l.now.Mono)
	}
	at = math.MaxInt64
	if l.puts.len() > 0 {
		at = int64(l.retry)
	}
	if l.stopped {
		return at
	}
	if l.fullSince != 0 && l.givesWay() {
		from := max(l.fullSince+fullFor, l.now.Mono)
		if slices.ContainsFunc(l.waiting, func(d *device) bool { return d.due-from >= fullFor && d.behind() > 0 }) {
			at = min(at, int64(from))
		}
	}
	if l.expires != 0 {
		left := l.expires - l.now.Wall
		if left <= 0 {
			return int64(l.now.Mono)
		}
		// The wall's present second may be over any moment.
		at = min(at, int64(l.now.Mono+max(time.Duration(left-1)*time.Second, 50*time.Millisecond)))
	}
	if l.hasReads() {
		at = min(at, int64(l.unread))
	}
	if len(l.waiting) > 0 {
		at = min(at, int64(l.waiting[0].due))
	}
	for _, n := range l.lines {
		switch { // the lane's door first: behind a closed one, that of a line is not asked
		case !l.someone(n):
		case l.Door.Reason != Open:
			at = min(at, int64(l.Door.Probe))
		case n.Door.Reason != Open:
			at = min(at, int64(n.Door.Probe))
		case n.atDoor.size > 0:
			return int64(l.now.Mono)
		}
	}
	return at
}

// someone reports whether there are notifications that wait at the doors of n.
func (l *Lane) someone(n *Line) bool {
	return n.atDoor.size > 0 || l.logged(n)
}

// logged reports whether there are notifications in the log of n.
func (l *Lane) logged(n *Line) bool { return l.Mode != Off && n.disk.Waiting() > 0 }

// openDoors lets go who may.
func (l *Lane) openDoors() {
	waiting := false
	for _, n := range l.lines {
		if n.Door.good > 0 && !l.someone(n) {
			n.Door.open(l.now.Mono)
		}
		waiting = waiting || n.Door.Reason == Open && l.someone(n)
	}
	if l.Door.good > 0 && !waiting {
		l.Door.open(l.now.Mono)
	}
	var open, shut []*Line
	from := 0
	if len(l.lines) > 1 {
		from = l.Random.IntN(len(l.lines))
	}
	for i := range l.lines {
		n := l.lines[(from+i)%len(l.lines)]
		switch {
		case !l.someone(n):
		case n.Door.Reason == Open:
			if n.atDoor.size > 0 || l.Door.Reason != Open {
				open = append(open, n)
			}
		default:
			shut = append(shut, n)
		}
	}
	if l.Door.Reason != Open {
		if len(open)+len(shut) > 0 {
			l.draw(append(open[:len(open):len(open)], shut...), l.Door.due(l.now.Mono))
		}
		l.spend(&l.Door, open...)
		return
	}
	for _, n := range open {
		for range n.atDoor.size {
			l.admit(n, n.atDoor.first())
		}
	}
	for _, n := range shut {
		l.draw([]*Line{n}, n.Door.due(l.now.Mono))
		l.spend(&n.Door, n)
	}
}

// spend lets go who stands at the doors of ns, as far as credit goes, and has the logs drawn from:
// from anywhere, for those that fail for themselves may stand together. Of what is left for those
// that come back, the most is for the logs: hundreds of them may fail for themselves, and each would
// cost what a good answer has given.
func (l *Lane) spend(door *Door, ns ...*Line) {
	for _, n := range ns {
		for door.credit > 0 && n.atDoor.never.size > 0 {
			l.admit(n, n.atDoor.never.any(l.Random))
			door.credit--
		}
	}
	kept := 0
	if !l.quiet && slices.ContainsFunc(ns, l.logged) {
		kept = door.credit - door.credit/4
	}
	for _, n := range ns {
		for door.credit > kept && n.atDoor.size > 0 {
			l.admit(n, n.atDoor.first())
			door.credit--
			l.Wake = true // who stands behind it is perhaps not late
		}
	}
	if door.dry {
		return // the logs are read from their beginning, to pass over who waits
	}
	if kept > 0 {
		l.draws, l.Wake = append(l.draws, draw{lines: ns, n: kept, door: door}), true
		door.credit -= kept
	}
}

// admit lets d through the doors of n, where it stands.
func (l *Lane) admit(n *Line, d *device) {
	l.forget(d)
	d.pass = l.closed(n)
	l.next(d)
}

// draw is what is to be drawn from the logs of lines: a probe, or what a door has credit for.
type draw struct {
	lines []*Line
	n     int
	door  *Door // nil: a probe
}

// draw lets k probes go from ns: such as were never asked, from anywhere, or else one of
// those that were, who was asked longest ago.
func (l *Lane) draw(ns []*Line, k int) {
	if k == 0 {
		return
	}
	left, logged := k, l.puts.len() // what is on its way to the log is written before it is drawn
	for _, n := range ns {
		for left > 0 {
			d := n.atDoor.never.anyInMemory(l.Random)
			if d == nil {
				break
			}
			l.forget(d)
			d.pass = true
			l.next(d)
			left--
		}
		if l.logged(n) {
			logged += n.disk.Waiting()
		}
	}
	if logged <= left && !slices.ContainsFunc(ns, func(n *Line) bool { return n.atDoor.never.size > 0 }) {
		l.exhaust(ns)
	}
	switch {
	case left > 0 && logged > 0 && !l.quiet:
		l.draws, l.Wake = append(l.draws, draw{lines: ns, n: left}), true
	case left == k:
		l.askAgain(ns, k)
	}
}

// exhaust says that none is left at the doors of ns that was never asked: one that comes
// is asked soon.
func (l *Lane) exhaust(ns []*Line) {
	l.Door.stale = true
	for _, n := range ns {
		n.Door.stale = true
	}
}

// askAgain lets one go that was asked before; behind 5xx, up to k.
func (l *Lane) askAgain(ns []*Line, k int) {
	from := l.Random.IntN(len(ns))
	l.exhaust(ns)
	for i := range ns {
		n := ns[(from+i)%len(ns)]
		if !l.Door.spoken && !n.Door.spoken {
			k = min(k, 1)
		}
		for ; k > 0 && n.atDoor.size > 0; k-- {
			l.admit(n, n.atDoor.first())
		}
	}
}

// givesWay reports whether what stands behind devices that wait for themselves takes the room of
// what arrives.
func (l *Lane) givesWay() bool {
	return l.Mode == Off && l.Door.Reason == Open && len(l.waiting) > 0 && l.Sink.Full()
}

const (
	fullFor  = 2 * time.Second // memory has to be full, and the device to wait from then on, for what stands behind it to give way
	muchOfIt = 1000            // items behind one device, which give way at once
)

// giveWay ends the oldest behind the devices that wait for themselves, as long as
// there is no room for what arrives: without a disk one device must not take all of
// it. Memory that is full for a moment, as behind an outage, is no reason, and a device
// that is soon asked again is none: what waits then goes soon, on a slow machine too.
func (l *Lane) giveWay() {
	if l.fullSince == 0 {
		l.fullSince = max(1, l.now.Mono)
	}
	long := l.now.Mono-l.fullSince >= fullFor
	for _, d := range l.waiting {
		gives := long && d.due-l.now.Mono >= fullFor || d.behind() >= muchOfIt
		for gives && d.first != nil && d.first.behind != nil && l.Sink.Full() {
			it := d.first.behind
			if d.first.behind = it.behind; it.behind == nil {
				d.last = d.first
			}
			it.behind, it.device, it.place = nil, nil, ending
			l.endIt(it, Crowded)
		}
	}
}

// behind is how many items stand behind the first of d, as far as muchOfIt.
func (d *device) behind() (n int) {
	if d.first == nil {
		return 0
	}
	for it := d.first.behind; it != nil && n < muchOfIt; it = it.behind {
		n++
	}
	return n
}
