package lane

import (
	"math"
	"slices"
)

// Read is one thing that is to be read from disk. The lane's goroutine carries it
// out without the lock, sets what came of it, and gives it to Enter.
type Read struct {
	From   Source
	Lines  []*Line // the one it is about; of a Sample, those that are asked in turn until one gives
	Device []byte  // of a Queue
	After  []byte  // of a List
	Limit  int     // the most items, or devices

	Got     []*Item  // in their order, with Line, ID, Flags and Stored set
	Broken  []*Item  // the same, of which no more can be read
	Devices [][]byte // of a List, in their order
	Err     error    // it could not be read now
	Skipped bool     // there was no room for it any more

	pass   bool // what was read goes through closed doors
	device *device
	door   *Door // whose credit a Sample is for; nil: it is a probe
}

// Source is where a Read reads.
type Source uint8

// The sources.
const (
	Log    Source = iota // the oldest of a line
	Queue                // the oldest of a device
	Sample               // some from anywhere in a log, each the first there of its device
	List                 // the devices of a line that have queues
)

const (
	ofQueue   = 4   // items are read of a device at a time
	queues    = 256 // devices' queues are read at a time
	listed    = 512 // devices are listed at a time
	ofLog     = 1024
	manyDraws = 64
)

// room is how many bytes may still be read.
func (l *Lane) room() int64 { return l.Ahead - l.ahead }

// opens gives how many of n's log may be read in their order: all, or, where nothing could be
// drawn, as many as a door that is closed has credit for.
func (l *Lane) opens(n *Line) (credit *int, limit int) {
	door := &n.Door
	if l.Door.Reason != Open {
		door = &l.Door
	}
	switch {
	case door.Reason == Open:
		return nil, ofLog
	case l.Door.Reason != Open && n.Door.Reason != Open:
		return nil, 0
	case !door.dry:
		return &door.credit, 0
	}
	return &door.credit, door.credit
}

// lists reports whether queues without an entry are to be looked for now. Those found count, though
// they are not asleep but to be read: there may be millions.
func (l *Lane) lists(n *Line) bool {
	return n.unlisted && l.asleep+l.loading.len() < l.Entries/2+1 && (!l.closed(n) || n.atDoor.size == 0)
}

// mayRead reports whether Plan finds something now.
func (l *Lane) mayRead() bool { return l.now.Mono >= l.unread && l.hasReads() }

// hasReads reports whether Plan finds something, once reading may be tried again.
func (l *Lane) hasReads() bool {
	if l.Mode == Off || l.stopped || l.quiet || l.reading {
		return false
	}
	if len(l.draws) > 0 || l.loading.len() > 0 && l.room() > 0 {
		return true
	}
	for _, n := range l.lines {
		if l.lists(n) {
			return true
		}
		if _, limit := l.opens(n); limit > 0 && l.ahead <= l.Ahead/2 && n.disk.Waiting() > 0 {
			return true
		}
	}
	return false
}

// Plan gives what is to be read now, in this order, of room bytes in all and at
// least one item each. Until Enter nothing that arrives overtakes it.
func (l *Lane) Plan(now Now) (reads []*Read, room int64) {
	l.now = now
	if !l.mayRead() {
		return nil, 0
	}
	l.reading = true
	if l.turn = !l.turn; l.turn {
		reads = l.planQueues(reads)
	}
	for _, n := range l.lines {
		n.returned = math.MaxUint64
	}
	many := min(len(l.draws), manyDraws) // beyond the bound: they are few
	for _, w := range l.draws[:many] {
		reads = append(reads, &Read{From: Sample, Lines: w.lines, Limit: w.n, pass: true, door: w.door})
	}
	l.draws = slices.Delete(l.draws, 0, many)
	l.nextLine++
	for i := range l.lines {
		n := l.lines[(l.nextLine+i)%len(l.lines)]
		if l.lists(n) {
			reads = append(reads, &Read{From: List, Lines: []*Line{n}, After: n.walked, Limit: listed})
		}
		credit, limit := l.opens(n)
		if limit > 0 && l.ahead <= l.Ahead/2 && n.disk.Waiting() > 0 {
			reads = append(reads, &Read{From: Log, Lines: []*Line{n}, Limit: max(limit, n.stride), pass: credit != nil})
		}
	}
	if !l.turn {
		reads = l.planQueues(reads)
	}
	return reads, l.room()
}

func (l *Lane) planQueues(reads []*Read) []*Read {
	for range min(l.loading.len(), queues) {
		d := l.loading.pop()
		d.moving++ // for what is read
		reads = append(reads, &Read{From: Queue, Lines: []*Line{d.line}, Device: slices.Clone(d.token), Limit: ofQueue,
			pass: d.pass, device: d})
	}
	return reads
}

// Enter takes in what was read.
func (l *Lane) Enter(reads []*Read, now Now) {
	l.now, l.Wake, l.reading = now, true, false
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
				*credit-- // not for what is moved to its queue only
			}
			moved = moved && it.place == moving
		}
		if r.From == Log {
			r.Lines[0].stride = 0
			if !moved {
				l.dry(r.Lines, false)
			} else { // there may be 100,000 of one device, behind a door with credit for one
				r.Lines[0].stride = min(2*len(r.Got), ofLog)
			}
		}
		if r.From == Sample {
			l.enterSample(r)
		}
	}
}

// enterSample sees to it that a probe goes though none of r does: there was none, it cannot be
// read, or its device waits for itself.
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

// dry notes whether the logs of ns are to be read from their beginning: all that was looked
// at is of devices that wait.
func (l *Lane) dry(ns []*Line, is bool) {
	l.Door.dry = is
	for _, n := range ns {
		n.Door.dry = is
	}
}

// enterQueue takes what was read of a device's queue out of its figures.
func (l *Lane) enterQueue(r *Read) {
	d := r.device
	d.moving--
	n := len(r.Got) + len(r.Broken)
	d.moving += n
	d.queued = max(0, d.queued-n)
	switch {
	case n > 0:
	case d.state != loads: // it was stopped meanwhile, and started again
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

// enterBroken ends the way of one that cannot be read: the next has its turn.
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

// enterRead takes in one that was read. pass lets it go through closed doors; without
// room behind them it goes back to the log, unless it belongs in its device's queue. It
// reports whether it stands in its chain now.
func (l *Lane) enterRead(it *Item, pass, room bool) bool {
	n := it.Line
	d := l.device(n, it.Token)
	switch {
	case it.stored == inQueue:
		d.moving--
	case it.ID > n.returned, !room && !d.owns(): // or one that is older has come back meanwhile
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

// enterList makes entries for devices that have a queue and none.
func (l *Lane) enterList(r *Read) {
	n := r.Lines[0]
	for _, token := range r.Devices {
		if d, _ := n.find(token); d != nil {
			continue
		}
		n.missed = true
		d := l.device(n, token)
		if d.state == waits { // it is due now
			l.forget(d)
		}
		d.state, d.queued, d.late = idle, unknownMany, true
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
