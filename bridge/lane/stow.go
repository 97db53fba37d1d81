package lane

import (
	"container/heap"
	"time"
)

// sleep counts n entries asleep.
func (l *Lane) sleep(n int) {
	l.asleep += n
	l.Asleep.used.Add(int64(n))
}

// brief is a wait for which a notification stays in memory, and in the log: to move it to its
// device's queue, read it from there and remove it costs many times as much.
const brief = time.Second

// mayDoze reports whether d, which has to wait, keeps what it has in memory: one item, of
// which nothing has to be remembered over a restart but that APNs has throttled it, or has
// failed, once.
func (l *Lane) mayDoze(d *device, wait time.Duration) bool {
	it := d.first
	if l.Mode == Off || l.stopped || wait > brief || it == nil || it.behind != nil || it.Read ||
		it.stored == inQueue || !d.bare() || l.crowded(len(l.waiting)) || !l.Sink.Roomy() {
		return false
	}
	f := it.Flags
	return f.Throttled+f.Failures == 1 && f == Flags{Attempts: f.Attempts, Throttled: f.Throttled, Failures: f.Failures}
}

// putAway takes d, if it dozes, out of memory and to its queue, for another of its items comes.
// In the log that one would have to be passed over again and again.
func (l *Lane) putAway(d *device) {
	if d.state == dozes {
		d.state = waits
		l.stow(d)
	}
}

// stow writes all of d, which is asleep, to disk, and drops it from memory once it is
// there. It goes to the device's queue if there is one or the first item was asked about,
// else to the log. What dozes goes to the log and stays in memory as well, but not when the
// lane is stopped.
func (l *Lane) stow(d *device) {
	switch {
	case l.Mode == Off || d.first == nil:
		return
	case d.state != dozes || l.stopped:
	case d.first.ID == 0:
		l.put(d.first)
		return
	default: // the bridge answers for it from now on
		l.Sink.Release(d.first)
		return
	}
	owns, whole := d.owns(), true
	for it := d.first; it != nil; it = it.behind {
		if it.ID == 0 || owns && (it.dirty() || it.stored != inQueue) {
			l.put(it)
		}
		whole = whole && it.write == unwritten
	}
	if !whole {
		return
	}
	for it := d.first; it != nil; {
		behind := it.behind
		it.behind = nil
		l.giveBack(d, it)
		it = behind
	}
	d.first, d.last = nil, nil
	switch {
	case d.queued == 0:
		l.forget(d)
		d.state = idle
		if d.arriving == 0 {
			l.drop(d)
		}
	case d.moving+d.arriving > 0:
	case d.state == waits && l.crowded(len(l.waiting)), d.state != waits && l.crowded(l.asleep) && d.line.atDoor.size > atATime:
		l.evict(d)
	}
}

// crowded reports whether there are more entries than allowed, of which the lane has own. Those
// that wait on their own account count by themselves, as in lists: one that was given up is found
// again as soon as there is room, and asked about then.
func (l *Lane) crowded(own int) bool {
	return own > l.Entries && l.Asleep.used.Load() > l.Asleep.Limit
}

// evict forgets d, all of which is in its queue on disk. It will be found there again.
func (l *Lane) evict(d *device) {
	l.forget(d)
	l.search(d.line)
	l.drop(d)
}

// giveBack drops an item that is on disk from memory.
func (l *Lane) giveBack(d *device, it *Item) {
	d.line.disk.Return(it)
	if it.stored == inQueue {
		d.queued++
	} else {
		d.line.returned = min(d.line.returned, it.ID)
		d.clear = false
	}
	it.device, it.place = nil, left
	l.free(it)
	l.Sink.Left(it)
}

func (l *Lane) free(it *Item) {
	if it.Read {
		before := l.ahead
		l.ahead -= it.Size
		l.Wake = l.Wake || l.ahead <= l.Ahead/2 && before > l.Ahead/2
	}
}

// forget takes d off wherever it waits.
func (l *Lane) forget(d *device) {
	switch {
	case d.at == 0:
		return
	case d.state == door:
		d.line.atDoor.remove(d)
		d.late = false
	default:
		heap.Remove(&l.waiting, d.at-1)
	}
	l.sleep(-1)
}
