package lane

// figures are what the world knows of a device, or of all devices.
type figures struct{ arriving, moving, chained int }

// check compares the lane's figures with what the world knows.
func (w *world) check() {
	l := w.lane
	if l.ahead > l.Ahead+atATime+queues {
		w.fail("%d read ahead", l.ahead)
	}
	n := len(l.waiting)
	for _, x := range l.lines {
		n += x.atDoor.size
	}
	if l.asleep != n || int64(n) != l.Asleep.Used() {
		w.fail("%d entries counted, %d in all lanes; %d wait", l.asleep, l.Asleep.Used(), n)
	}
	figures := w.checkMemory()
	for _, n := range l.lines {
		for hash, d := range n.devices {
			if x, at := n.find(d.token.bytes()); x != d || at != hash || d.hash != hash {
				w.fail("device %s is not found", d.token.bytes())
			}
			w.checkDevice(d, figures[d.token.bytes()[len(d.token.bytes())-1]-'0'])
		}
	}
}

// checkMemory counts what is in memory.
func (w *world) checkMemory() (of [devices]figures) {
	memory, ahead := 0, int64(0)
	for n := range w.live {
		switch {
		case !n.Read:
			memory++
		case n.place < ending:
			ahead += n.Size
		}
		switch f := &of[n.device]; n.place {
		case arriving:
			f.arriving++
		case moving:
			f.moving++
		case chained:
			f.chained++
		}
		if w.mode == Off && n.write != unwritten {
			w.fail("%v is to be written", n.key())
		}
	}
	if memory != w.memory || ahead != w.lane.ahead {
		w.fail("in memory: %d and not %d; read ahead %d and not %d", w.memory, memory, w.lane.ahead, ahead)
	}
	return of
}

// checkDisk checks that everything in a device's queue is older than everything of it in the log.
func (w *world) checkDisk() {
	var queued, logged [devices]int
	for d := range devices {
		queued[d], logged[d] = -1, 1<<30
	}
	for _, r := range w.disk.rows {
		if w.over(key{r.device, r.seq}) {
			continue
		}
		if r.queued {
			queued[r.device] = max(queued[r.device], r.seq)
		} else {
			logged[r.device] = min(logged[r.device], r.seq)
		}
	}
	for d := range devices {
		if queued[d] >= logged[d] {
			w.fail("of device %d, %d is in its queue, and %d in the log", d, queued[d], logged[d])
		}
	}
}

// checkDevice compares the figures of d with what they stand for.
func (w *world) checkDevice(d *device, f figures) {
	reading := 0
	for _, r := range w.reads {
		if r.device == d {
			reading++
		}
	}
	if (d.state == idle || d.state == loads) && d.first != nil || d.state == out && d.first == nil {
		w.fail("device %s: %d, and %v in memory", d.token.bytes(), d.state, d.first)
	}
	last := -1
	for it := d.first; it != nil; it = it.behind {
		n := it.Owner.(*note)
		if !w.live[n] || it.place != chained || n.seq <= last || it.behind == nil && d.last != it {
			w.fail("the chain of %s is out of order at %d", d.token.bytes(), n.seq)
		}
		f.chained--
		last = n.seq
	}
	if f.chained != 0 {
		w.fail("%d of device %s are in no chain", f.chained, d.token.bytes())
	}
	if int(d.arriving) != f.arriving || int(d.moving) != f.moving+reading {
		w.fail("device %s: %d arrive and not %d, %d move and not %d", d.token.bytes(), d.arriving, f.arriving, d.moving,
			f.moving+reading)
	}
	if q := w.disk.queued(d); d.queued < unknownMany/2 && reading == 0 && int(d.queued) != q {
		w.fail("device %s: %d in its queue, and not %d", d.token.bytes(), d.queued, q)
	}
	settled := w.mode != Off && w.lane.Unwritten() == 0
	switch it := d.first; {
	case d.state == dozes && (it == nil || it.behind != nil || !d.bare() || settled && it.ID == 0 || w.lane.stopped && settled):
		w.fail("device %s dozes with %+v, and %d only on disk", d.token.bytes(), it, d.queued+d.moving+d.arriving)
	case d.state != dozes && d.asleep() && it != nil && settled:
		w.fail("device %s is asleep (%d), written, and in memory", d.token.bytes(), d.state)
	}
	if d.first == nil && d.queued+d.moving+d.arriving == 0 {
		w.fail("device %s has an entry for nothing", d.token.bytes())
	}
}

// queued counts what is in the queue of d, and not checked out.
func (f *fakeDisk) queued(d *device) (k int) {
	o := f.queues[d.line.disk.(*fakeLine).topic][string(d.token.bytes())]
	if o == nil {
		return 0
	}
	for _, r := range o.rows {
		if !r.out {
			k++
		}
	}
	return k
}

// checkRest fails if there is something to do for which the lane would not wake up.
func (w *world) checkRest() {
	l, before := w.lane, w.did
	if l.expires != 0 && l.expires <= w.now.Wall {
		// The wall's second is over in the middle of what Next has asked for: within 50 ms.
		if l.Tend(w.now); l.Next() <= int64(w.now.Mono) {
			return
		}
		before = w.did
	}
	l.Tend(w.now)
	items := l.Begin(100, 1e6, w.now)
	reads, _ := l.Plan(w.now)
	if did := w.did - before; len(items)+len(reads)+did > 0 {
		w.fail("not asked for: %d to write, %d to read, %d done; %s", len(items), len(reads), did, w.dump())
	}
}
