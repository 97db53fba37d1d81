package lane

import (
	"container/heap"
	"time"
)

// Arrive takes an item from a session.
func (l *Lane) Arrive(it *Item, now Now) {
	if now.Mono >= l.now.Mono { // it may have waited for the lock
		l.now = now
	}
	l.unstored++
	n := it.Line
	d := l.device(n, it.Token)
	if n.Door.Reason == Open || n.Door.stale { // else others of n are asked about first
		l.Door.fresh(l.now.Mono)
	}
	n.Door.fresh(l.now.Mono)
	read := l.Mode != Off && !n.reading && n.disk.Waiting() == 0 // all of the log was read, and has entered
	if d.state == idle && d.first == nil && d.bare() {           // it has just come
		d.clear = read
	}
	if l.Mode == Off || read && l.goesStraight(d) {
		released := l.releases(d) // else next sees to it, behind which d may be gone with an item that has expired
		l.enter(d, it)
		if released {
			l.Sink.Release(it)
		}
		l.Wake = l.Wake || l.givesWay()
		return
	}
	l.spill(d)
	l.putAway(d) // both go to its queue: in the log this one would hold up others
	it.device, it.place = d, arriving
	d.arriving++
	l.put(it)
}

// goesStraight reports whether what arrives for d need not be put on disk, because
// nothing has its turn before it. All of the log has been read.
func (l *Lane) goesStraight(d *device) bool {
	return l.Mode == Overflow && !l.stopped && !l.closed(d.line) && !d.asleep() && d.bare() && l.Sink.Roomy()
}

// Keep stores an item that is with APNs, and what is in memory before it: the bridge
// answers for it from now on.
func (l *Lane) Keep(it *Item, now Now) {
	l.now = now
	if d, _ := it.Line.find(it.Token); d != nil {
		l.spill(d)
	}
}

// spill puts all of d on disk, before anything younger.
func (l *Lane) spill(d *device) {
	for it := d.first; it != nil; it = it.behind {
		if it.ID == 0 {
			l.put(it)
		}
	}
}

func (l *Lane) enter(d *device, it *Item) {
	it.device, it.place = d, chained
	if d.first == nil {
		d.first = it
	} else {
		d.last.behind = it
	}
	d.last = it
	switch {
	case d.asleep():
		l.stow(d)
	case d.state == idle:
		l.next(d)
	}
}

// next does what is due for d, which has nothing with APNs and need not wait on its own
// account.
func (l *Lane) next(d *device) {
	for d.first != nil && d.first.Expires != 0 && d.first.Expires <= l.now.Wall {
		l.end(d, Expired)
	}
	switch it := d.first; {
	case it == nil && d.moving > 0:
		d.state = idle // until they are in its queue
	case it == nil && d.queued == 0:
		d.state = idle
		if d.pass {
			l.waste(d)
		}
		if d.arriving == 0 {
			l.drop(d)
		}
	case l.stopped || l.closed(d.line) && !d.pass:
		d.state = door
		d.late = d.late || it == nil || it.Flags.Attempts > 0
		d.line.atDoor.push(d)
		l.sleep(1)
		l.releaseAll(d)
		l.expireAt(d)
		l.stow(d)
		l.Wake = true
	case it == nil:
		d.state = loads
		l.loading.push(d)
		l.Wake = true
	case it.Flags.Repeated && l.repeats > 0 && (l.Door.shaky(l.now.Mono) || d.line.Door.shaky(l.now.Mono)):
		d.pass = false
		l.park(d, l.delays.after(0))
	default:
		d.state, d.late = out, false
		if l.out++; it.Flags.Repeated {
			l.repeats++
		}
		d.sent = l.now.Mono
		increment(&it.Flags.Attempts)
		l.Sink.Send(it, l.probes(d))
	}
}

// probes reports whether d goes to find out whether APNs takes a credential or topic
// again. APNs binds both to a connection at its first push.
func (l *Lane) probes(d *device) bool {
	return d.pass && (l.Door.Reason == Refused && l.Door.good == 0 || d.line.Door.Reason == Topic && d.line.Door.good == 0)
}

// waste notes that APNs was not asked about a device that was let through.
func (l *Lane) waste(d *device) {
	d.pass = false
	l.probeAgain(d.line)
}

// probeAgain makes a probe due at the doors of n: the last one was not used.
func (l *Lane) probeAgain(n *Line) {
	l.Wake = true
	if l.Door.Reason != Open {
		l.Door.Probe = l.now.Mono
	}
	n.Door.Probe = l.now.Mono
}

// park makes d wait on its own account.
func (l *Lane) park(d *device, wait time.Duration) {
	d.state, d.due = waits, l.now.Mono+wait
	heap.Push(&l.waiting, d)
	if l.sleep(1); l.mayDoze(d, wait) {
		d.state = dozes
	}
	l.Wake = l.Wake || d.at == 1 || l.givesWay()
	l.releaseAll(d)
	l.expireAt(d)
	l.stow(d)
}

// expireAt notes when the first item of d, which is asleep, expires.
func (l *Lane) expireAt(d *device) {
	if d.first != nil && d.first.Expires != 0 && (l.expires == 0 || d.first.Expires < l.expires) {
		l.expires = d.first.Expires
	}
}

// releases reports whether the bridge answers for what waits of d although it is not on
// disk: there is no disk, and it is not known how long the wait will be.
func (l *Lane) releases(d *device) bool {
	return l.Mode == Off && (d.state == waits || d.state == door && l.unreachable(d.line))
}

func (l *Lane) releaseAll(d *device) {
	if !l.releases(d) {
		return
	}
	for it := d.first; it != nil; it = it.behind {
		l.Sink.Release(it)
	}
}

// end ends the first item of d without a verdict.
func (l *Lane) end(d *device, how End) { l.endIt(l.leave(d), how) }

func (l *Lane) endIt(it *Item, how End) {
	l.Sink.Ended(it, how)
	if l.Finish(it) {
		l.Sink.Gone(it)
	}
}

// leave takes the first item of d out of its chain.
func (l *Lane) leave(d *device) *Item {
	it := d.first
	if d.first = it.behind; d.first == nil {
		d.last = nil
	}
	if it.Flags.Failures > 0 {
		d.failed = 0
	}
	it.behind, it.device, it.place = nil, nil, ending
	l.free(it)
	return it
}

// Finish says that what has to be remembered of an item that has ended is durable. It
// reports whether the lane has no more use for the item; otherwise Gone follows.
func (l *Lane) Finish(it *Item) (gone bool) {
	it.place = left
	if it.write != unwritten {
		return false
	}
	l.done(it)
	return true
}

// done removes an item that has ended from the disk.
func (l *Lane) done(it *Item) {
	if it.ID == 0 {
		l.unstored--
		return
	}
	it.Line.disk.Done(it)
	l.freed = true
	l.Wake = l.Wake || l.retry != 0
}
