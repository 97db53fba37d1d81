package lane

import "container/heap"

// sleep counts n entries asleep.
func (l *Lane) sleep(n int) {
	l.asleep += n
	l.Asleep.used.Add(int64(n))
}

// stow writes all of d, which is asleep, to disk, and drops it from memory once it is
// there. It goes to the device's queue if there is one or the first item was asked about,
// else to the log.
func (l *Lane) stow(d *device) {
	if l.Mode == Off || d.first == nil {
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
	case d.moving+d.arriving == 0 && l.crowded() && (d.state == waits || d.line.atDoor.size > atATime):
		l.evict(d)
	}
}

// crowded reports whether there are more entries than allowed.
func (l *Lane) crowded() bool { return l.asleep > l.Entries && l.Asleep.used.Load() > l.Asleep.Limit }

// evict forgets d, all of which is in its queue on disk. It will be found there again.
func (l *Lane) evict(d *device) {
	l.forget(d)
	d.line.unlisted = true
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
