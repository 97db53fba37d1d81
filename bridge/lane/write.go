package lane

import (
	"cmp"
	"slices"
	"time"
)

// put is an item to be written.
type put struct {
	it    *Item
	order uint64
}

// barrier waits until everything that was put before it is on disk.
type barrier struct {
	order uint64
	then  func()
}

func (l *Lane) put(it *Item) {
	if l.Mode != Off && it.write == unwritten {
		l.order++
		it.write, l.Wake = due, true
		l.moves = l.moves || it.ID != 0
		l.puts.push(put{it, l.order})
	}
}

// After has Passed give then once everything that is due for writing now is on disk, or,
// except with Always, once it is known that it cannot be written. It reports whether that
// is so already; in that case then will not be called.
func (l *Lane) After(then func()) (now bool) {
	if l.puts.len()+len(l.batch) == 0 {
		return true
	}
	l.barred.push(barrier{l.order, then})
	return false
}

// Passed removes and returns the functions whose wait is over; all of them if nothing can
// be written.
func (l *Lane) Passed() (then []func()) {
	oldest := uint64(1<<64 - 1)
	switch {
	case len(l.batch) > 0:
		for _, p := range l.batch {
			oldest = min(oldest, p.order)
		}
	case l.puts.len() > 0:
		oldest = l.puts.first().order
	}
	failing := l.Mode == Overflow && l.retry != 0
	for l.barred.len() > 0 && (failing || l.barred.first().order < oldest) {
		then = append(then, l.barred.pop().then)
	}
	return then
}

// mayWrite reports whether Begin may find something.
func (l *Lane) mayWrite() bool {
	return len(l.batch) == 0 && l.puts.len() > 0 && (l.now.Mono >= l.retry || l.freed || l.full && l.moves)
}

// Begin takes what is to be written now: at most n items, and no more once they come to
// that many bytes. ToQueue says where each goes, and SavedFlags go with it to a queue.
func (l *Lane) Begin(n int, bytes int64, now Now) []*Item {
	l.now = now
	if !l.mayWrite() {
		return nil
	}
	moves := now.Mono < l.retry && !l.freed // the disk is full: only what needs no room
	if !moves {
		l.freed, l.retry = false, 0
	}
	logged := make(map[*device]bool) // devices with a queue of which something goes to the log
	var skipped []put
	var items []*Item
	for len(l.batch) < n && bytes > 0 && l.puts.len() > 0 {
		p := l.puts.pop()
		it := p.it
		if it.place >= ending {
			if it.write = unwritten; it.place == left {
				l.done(it)
				l.Sink.Gone(it)
			}
			continue
		}
		if moves && it.ID == 0 {
			skipped = append(skipped, p)
			continue
		}
		d := it.device
		switch {
		case l.toQueue(it, logged):
			it.write = toQueue
		case it.ID != 0: // it is in the log already: its device goes on from memory meanwhile
			l.leaveInLog(d, it)
			continue
		default:
			it.write = toLog
			if d.owns() {
				logged[d] = true
			}
		}
		it.saved = it.Flags
		l.batch = append(l.batch, p)
		items = append(items, it)
		bytes -= it.Size
	}
	// What is for queues comes first: of one device it is the older part. So log and queues
	// can be written one after the other, each of them wholly or not at all. With Always,
	// queues get nothing new: everything goes to the log first, so that a full disk followed
	// by a crash leaves the beginning of what has arrived.
	slices.SortStableFunc(l.batch, func(a, b put) int { return int(b.it.write) - int(a.it.write) })
	for i, p := range l.batch {
		items[i] = p.it
	}
	if len(skipped) > 0 {
		l.puts.set(append(skipped, l.puts.all()...))
	}
	if moves && len(items) == 0 {
		l.moves = false
	}
	return items
}

// toQueue reports whether an item goes to its device's queue and not to the log: it is there
// already, or everything older of the device is, or gets there before it. logged has the
// devices of which something goes to the log before it.
func (l *Lane) toQueue(it *Item, logged map[*device]bool) bool {
	d := it.device
	return it.stored == inQueue || d.owns() && d.owned(it) &&
		(it.place == chained || it.ID != 0 ||
			l.Mode == Overflow && !logged[d] && d.moving == 0 && (d.clear || it.Line.disk.Waiting() == 0))
}

// leaveInLog cancels the write of an item that is in the log already.
func (l *Lane) leaveInLog(d *device, it *Item) {
	it.write = unwritten
	switch {
	case it.place == moving:
		l.unmove(d, it)
	case d.asleep() && !d.owns():
		l.stow(d)
	}
}

// unmove leaves an item, and everything of d that was to be moved after it, where it is:
// in the log.
func (l *Lane) unmove(d *device, it *Item) {
	l.stay(d, it)
	l.unmoveAll(func(x *device) bool { return x == d })
	if d.state == idle {
		l.next(d)
	}
}

// stay drops an item that will not be moved after all from memory; it keeps its place in
// the log.
func (l *Lane) stay(d *device, it *Item) {
	it.write = unwritten
	d.moving--
	l.giveBack(d, it)
}

// unmoveAll leaves in the log what was to be moved of the devices for which of is true, and
// gives those devices, each once.
func (l *Lane) unmoveAll(of func(*device) bool) (devices []*device) {
	seen := make(map[*device]bool)
	l.puts.set(slices.DeleteFunc(l.puts.all(), func(p put) bool {
		d := p.it.device
		if p.it.place != moving || !of(d) {
			return false
		}
		if !seen[d] {
			seen[d], devices = true, append(devices, d)
		}
		l.stay(d, p.it)
		return true
	}))
	return devices
}

// Commit takes the result of a write: the first k of the batch are on disk, with their
// IDs set; the others could not be written, for want of room if full is set, and are
// tried again.
func (l *Lane) Commit(k int, full bool, now Now) {
	l.now = now
	batch := l.batch
	l.batch = nil
	for _, p := range batch[:k] {
		l.written(p.it)
	}
	if k < len(batch) {
		for _, p := range batch[k:] {
			p.it.write, p.it.saved = due, Flags{}
			if p.it.ID != 0 {
				p.it.saved = Flags{Attempts: 255, Failures: 255, Strange: 255} // unlike any real ones: they have to be written
			}
		}
		left := slices.SortedFunc(slices.Values(batch[k:]), func(a, b put) int { return cmp.Compare(a.order, b.order) })
		l.puts.set(append(left, l.puts.all()...))
		l.retry, l.full = now.Mono+l.Retry, full
		if !full {
			l.freed = false
		}
		if batch[k].it.place == moving {
			l.leaveMoves()
		}
		l.cannot()
	}
}

// leaveMoves leaves everything that was to be moved to queues in the log, because it cannot
// be moved now, and lets the devices that wait for it go on. It will be read again from the
// log; what goes meanwhile makes room.
func (l *Lane) leaveMoves() {
	for _, d := range l.unmoveAll(func(*device) bool { return true }) {
		if d.state == idle {
			l.next(d)
		}
	}
}

// written takes an item that is now on disk.
func (l *Lane) written(it *Item) {
	n := it.Line
	if it.stored == nowhere {
		l.unstored--
	}
	if it.stored = inLog; it.write == toQueue {
		it.stored = inQueue
	}
	it.write = unwritten
	if it.place >= ending {
		if it.place == left {
			l.done(it)
			l.Sink.Gone(it)
		}
		return
	}
	d := it.device
	switch {
	case it.place == chained && d.asleep():
		l.stow(d)
	case it.place == chained:
	case it.place == moving:
		d.moving--
		l.giveBack(d, it)
		if d.state == idle {
			l.next(d)
		}
	default:
		d.arriving--
		if !l.closed(n) && !l.stopped && !d.asleep() && d.queued+d.moving == 0 &&
			n.disk.Waiting() == 0 && l.Sink.Roomy() {
			l.enter(d, it)
			return
		}
		l.giveBack(d, it)
		if d.state == idle {
			l.next(d)
		}
	}
}

// cannot notes that not everything can be written. What is on its way to disk is sent from
// memory if nothing else of its line or device is only on disk: then it is the oldest.
func (l *Lane) cannot() {
	if l.Mode == Always || l.stopped {
		return
	}
	for _, p := range slices.Clone(l.puts.all()) {
		it := p.it
		if it.place != arriving {
			continue
		}
		if d := it.device; d.queued+d.moving == 0 && it.Line.disk.Waiting() == 0 {
			d.arriving--
			l.enter(d, it) // it stays in puts
		}
	}
}

// Unwritten is how many items are on their way to disk.
func (l *Lane) Unwritten() int { return l.puts.len() + len(l.batch) }

// Stuck reports whether something could not be written and has not been tried again yet.
func (l *Lane) Stuck() bool { return l.retry != 0 }

// RetrySoon makes sure that what could not be written is tried again at that time at the
// latest.
func (l *Lane) RetrySoon(at time.Duration) { l.retry = min(l.retry, at) }
