package lane

import (
	"math"
	"slices"
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
	listed    = 512 // devices are listed at a time, at most
	ofLog     = 1024
	manyDraws = 64
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

// lists gives how many queues without an entry to look for in n now: as long as at most half of
// the entries are used, the lane's or those of the process. Devices found before count as well,
// though they are not asleep but about to be read: there may be millions. A line that is open has
// its share at any time, for devices of other lines may wait at their doors for very long.
func (l *Lane) lists(n *Line) int {
	closed, loading, half := l.closed(n), l.loading.len(), l.Entries/2
	switch {
	case !n.unlisted || closed && n.atDoor.size > 0:
		return 0
	case l.asleep+loading <= half, loading <= half && l.Asleep.used.Load() < l.Asleep.Limit/2:
		return listed
	case closed:
		return 0
	}
	return min(listed, max(0, l.share()-len(n.devices)))
}

// share is how many devices of each line have entries before those of others are considered.
func (l *Lane) share() int { return max(1, l.Entries/2/len(l.lines)) }

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
		if l.lists(n) > 0 {
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
		if k := l.lists(n); k > 0 {
			reads = append(reads, &Read{From: List, Lines: []*Line{n}, After: n.walked, Limit: k})
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
