package lane

import (
	"math"
	"slices"
	"time"
)

// Read is one read from disk. The lane's goroutine carries it out without the lock,
// fills in the results, and gives it to Enter.
type Read struct {
	From   Source
	Lines  []*Line // one; for a Sample, those that are tried in turn until one has something
	Device []byte  // for a Queue
	After  []byte  // for a List
	Limit  int     // of items or devices

	Got     []*Item  // in order, with Line, ID, Flags and Stored set
	Broken  []*Item  // the same, but the rest of them cannot be read
	Devices [][]byte // for a List, in order
	Err     error    // the read failed for now
	Skipped bool     // there was no room left for it

	pass   bool // what was read goes through closed doors
	device *device
	door   *Door // whose credit a Sample spends; nil: it is a probe
}

// Source is what a Read reads.
type Source uint8

// The sources.
const (
	Log    Source = iota // the oldest of a line
	Queue                // the oldest of a device
	Sample               // some from anywhere in a log, each the first there of its device
	List                 // the devices of a line that have queues
)

const (
	ofQueue   = 4   // items of a device are read at a time
	queues    = 256 // devices' queues are read at a time
	listed    = 512 // devices are listed at a time
	ofLog     = 1024
	manyDraws = 64

	// walkPause is how long a line waits before it looks for queues again, when many entries
	// are used: what it finds may be evicted at once, and every find asks APNs.
	walkPause = 30 * time.Second
)

// room is how many bytes may still be read.
func (l *Lane) room() int64 { return l.Ahead - l.ahead }

// opens gives how much of n's log may be read in order: all of it, or, where nothing could be
// drawn, as many items as a closed door has credit for.
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

// lists reports whether to look for queues without an entry now: always while at most half of the
// entries are used by devices that wait on their own account. Those already found count, though
// they are not asleep but about to be read: there may be millions. What stands at doors does not
// count: it may stand there for days, and others go meanwhile. Beyond half, a line that can go
// looks for some now and then, for the others may wait for hours.
func (l *Lane) lists(n *Line) bool {
	closed := l.closed(n)
	return n.unlisted && (!closed || n.atDoor.size == 0) &&
		(len(l.waiting)+l.loading.len() <= l.Entries/2 || !closed && l.now.Mono >= n.walkAgain)
}

// mayRead reports whether Plan finds something now.
func (l *Lane) mayRead() bool { return l.now.Mono >= l.unread && l.hasReads() }

// hasReads reports whether Plan finds something, once reading may be tried again.
func (l *Lane) hasReads() bool {
	if l.Mode == Off || l.stopped || l.keepsQuiet() || l.reading {
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

// Plan gives what is to be read now, in this order: at most room bytes in all, but at
// least one item for each Read. Until Enter no arrival overtakes what is being read of a log.
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
	many := min(len(l.draws), manyDraws) // they may exceed the bound on memory, being few
	for _, w := range l.draws[:many] {
		reads = append(reads, &Read{From: Sample, Lines: w.lines, Limit: w.n, pass: true, door: w.door})
		for _, n := range w.lines {
			n.reading = true
		}
	}
	l.draws = slices.Delete(l.draws, 0, many)
	l.nextLine++
	for i := range l.lines {
		n := l.lines[(l.nextLine+i)%len(l.lines)]
		if l.lists(n) {
			n.walkAgain = l.now.Mono + walkPause
			reads = append(reads, &Read{From: List, Lines: []*Line{n}, After: n.walked, Limit: listed})
		}
		credit, limit := l.opens(n)
		if limit > 0 && l.ahead <= l.Ahead/2 && n.disk.Waiting() > 0 {
			n.reading = true
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
		d.moving++ // for what will be read
		reads = append(reads, &Read{
			From: Queue, Lines: []*Line{d.line}, Device: slices.Clone(d.token.bytes()), Limit: ofQueue,
			pass: d.pass, device: d,
		})
	}
	return reads
}
