package lane

import (
	"math"
	"slices"
	"time"
)

// Tend does what is due: it wakes the devices whose time has come, and sends what
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
	switch {
	case l.givesWay():
		l.fullAt = now.Mono
		l.giveWay()
	case now.Mono-l.fullAt >= fullFor:
		l.fullSince = 0
	}
}

// sweep ends what has expired in memory while its device is asleep. Otherwise it would
// hold memory for as long as a door is closed.
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

// Next is the latest moment at which the lane's goroutine has something to do.
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
		if slices.ContainsFunc(l.waiting, func(d *device) bool { return d.due-from >= fullFor && l.yields(d) }) {
			at = min(at, int64(from))
		}
	}
	if l.expires != 0 {
		left := l.expires - l.now.Wall
		if left <= 0 {
			return int64(l.now.Mono)
		}
		// The present second of the wall clock may end at any moment.
		at = min(at, int64(l.now.Mono+max(time.Duration(left-1)*time.Second, 50*time.Millisecond)))
	}
	if l.hasReads() {
		at = min(at, int64(l.unread))
	}
	if len(l.waiting) > 0 {
		at = min(at, int64(l.waiting[0].due))
	}
	for _, n := range l.lines {
		if n.unlisted && !l.keepsQuiet() && !l.closed(n) {
			at = min(at, int64(max(n.walkAgain, l.unread)))
		}
		switch { // the lane's door first: while it is closed, that of a line does not count
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

// Rests is for how long from now the lane has nothing to do, if nothing happens. It does not
// rest while something is with APNs, being read or being written: that may have to wait again.
func (l *Lane) Rests(now Now) time.Duration {
	switch next := l.Next(); {
	case l.out > 0 || l.AtDisk():
		return 0
	case next == math.MaxInt64:
		return math.MaxInt64
	default:
		return max(0, time.Duration(next)-now.Mono)
	}
}

// AtDisk reports whether something is being read from disk, or has to be written there.
func (l *Lane) AtDisk() bool { return l.reading || l.Unwritten() > 0 }

// someone reports whether there are notifications that wait at the doors of n.
func (l *Lane) someone(n *Line) bool {
	return n.atDoor.size > 0 || l.logged(n)
}

// logged reports whether there are notifications in the log of n.
func (l *Lane) logged(n *Line) bool { return l.Mode != Off && n.disk.Waiting() > 0 }

// openLines gives the lines with open doors, starting with another one each time. It includes
// lines of which nothing waits: something may be on its way to their logs.
func (l *Lane) openLines() (all []*Line) {
	for i := range l.lines {
		if n := l.lines[(l.nextLine+i)%len(l.lines)]; n.Door.Reason == Open {
			all = append(all, n)
		}
	}
	return all
}

// openDoors sends what may go through the doors.
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
			if k := l.Door.due(l.now.Mono); k > 0 {
				l.draw(l.openLines(), shut, k)
			}
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
		if k := n.Door.due(l.now.Mono); k > 0 {
			l.draw(nil, []*Line{n}, k)
		}
		l.spend(&n.Door, n)
	}
}

// givesWay reports whether items behind devices that wait on their own account take the room
// that arrivals need.
func (l *Lane) givesWay() bool {
	return l.Mode == Off && l.Door.Reason == Open && len(l.waiting) > 0 && l.Sink.Full()
}

const (
	// Items give way once memory has been full, and their device has been waiting, for this long.
	fullFor = 2 * time.Second

	muchOfIt = 1000 // items of one device give way at once
)

// giveWay ends the oldest items behind the devices that wait on their own account, as long
// as there is no room for arrivals: without a disk one device must not take all of it.
// Memory that is full for a moment, as after an outage, is no reason, nor is a device that
// is about to be asked about again: what waits then goes soon, even on a slow machine.
func (l *Lane) giveWay() {
	if l.fullSince == 0 {
		l.fullSince = max(1, l.now.Mono)
	}
	long := l.now.Mono-l.fullSince >= fullFor
	for _, d := range l.waiting {
		gives := l.yields(d) && (long && d.due-l.now.Mono >= fullFor || d.behind() >= muchOfIt)
		for gives && d.first.behind != nil && l.Sink.Full() {
			it := d.first.behind
			if d.first.behind = it.behind; it.behind == nil {
				d.last = d.first
			}
			it.behind, it.device, it.place = nil, nil, ending
			l.endIt(it, Crowded)
		}
	}
}

// yields reports whether something stands behind the first item of d, which waits on its own
// account and not, like others, for the end of an outage.
func (l *Lane) yields(d *device) bool {
	return d.first != nil && d.first.behind != nil && !l.unreachable(d.line)
}

// behind is how many items stand behind the first of d, counted up to muchOfIt.
func (d *device) behind() (n int) {
	if d.first == nil {
		return 0
	}
	for it := d.first.behind; it != nil && n < muchOfIt; it = it.behind {
		n++
	}
	return n
}
