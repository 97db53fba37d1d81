package lane

import (
	"slices"
	"time"
)

func (w *world) pass(d time.Duration) {
	before := w.now.Mono
	w.now.Mono += d
	w.now.Wall += int64(w.now.Mono/time.Second - before/time.Second)
	w.now.Time = w.now.Time.Add(d)
}

// work does the next step of what the lane's goroutine does.
func (w *world) work(n int) {
	l := w.lane
	switch {
	case len(l.batch) > 0:
		w.commit()
	case w.reads != nil && !w.done:
		w.carryOut()
	case w.reads != nil:
		w.enter()
	case w.rnd.IntN(2) == 0:
		w.batch(n)
	default:
		w.reads, w.room = l.Plan(w.now)
		w.done = false
	}
}

func (w *world) batch(n int) { w.lane.Begin(n, 1e6, w.now) }

func (w *world) commit() {
	var its []*Item
	for _, p := range w.lane.batch {
		its = append(its, p.it)
	}
	k := w.disk.put(its)
	w.log("commit %d of %d", k, len(its))
	w.lane.Commit(k, k < len(its) && !w.disk.broken, w.now)
	w.checkDisk()
}

func (w *world) carryOut() {
	room := w.room
	for _, r := range w.reads {
		room = w.disk.read(r, room, func(n *Line, token []byte) bool { d, _ := n.find(token); return d == nil })
	}
	w.done = true
}

func (w *world) enter() {
	w.log("enter")
	reads := w.reads
	w.reads = nil
	for _, r := range reads {
		for _, it := range slices.Concat(r.Got, r.Broken) {
			w.live[it.Owner.(*note)] = true
		}
	}
	w.lane.Enter(reads, w.now)
}

// settleWork finishes what the goroutine has begun.
func (w *world) settleWork() {
	if len(w.lane.batch) > 0 {
		w.commit()
	}
	if w.reads != nil {
		if !w.done {
			w.carryOut()
		}
		w.enter()
	}
}

// run is one round of the goroutine.
func (w *world) run(n int) {
	w.lane.Tend(w.now)
	if items := w.lane.Begin(n, 1e6, w.now); len(items) > 0 {
		w.commit()
	}
	if w.reads, w.room = w.lane.Plan(w.now); w.reads != nil {
		w.carryOut()
		w.enter()
	}
}
