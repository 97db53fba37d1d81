package lane

import (
	"bytes"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"time"
)

// Disk is what a line needs of its part of the disk. All of it is answered from memory.
type Disk interface {
	// Waiting is how many items are in the log and not checked out.
	Waiting() int
	// Queued reports whether a device may have a queue. It may err only by saying yes.
	Queued(token []byte) bool
	// Return gives back an item that is checked out.
	Return(*Item)
	// Done removes an item that is checked out.
	Done(*Item)
}

// Line is the part of a lane that has one topic.
type Line struct {
	Name  string
	Door  Door
	Guard Guard

	holders   int           // sessions that will put items into it
	lastGood  time.Duration // when its last push with a good answer was sent
	disk      Disk
	devices   map[uint64]*device // those that have something in memory, or in their queue on disk
	seed      maphash.Seed
	blur      uint64 // bits of hashes that are ignored, so that tests see collisions
	crowded   bool   // a device has found the place of its hash taken
	atDoor    waitingRoom
	stride    int           // how many to read of the log, though fewer may go: the last ones read were all moved
	reading   bool          // its log is being read: arrivals do not overtake that
	returned  uint64        // the oldest that came back to the log since it was last read
	unlisted  bool          // there may be queues on disk without an entry
	missed    bool          // a queue has lost its entry, or was found without one, since the list was begun
	walked    []byte        // the last device that was listed
	walkAgain time.Duration // when it goes on, though many entries are used
}

// Disk is the line's part of the disk, as given to AddLine.
func (n *Line) Disk() Disk { return n.disk }

// Knows reports whether a device has an entry: something of it is in memory, or
// waits in its queue.
func (n *Line) Knows(token []byte) bool {
	d, _ := n.find(token)
	return d != nil
}

// state is what the first item of a device does.
type state uint8

const (
	idle  state = iota
	out         // it is with the upstream
	door        // it waits at a door
	waits       // it waits on its own account, until due
	dozes       // the same, so briefly that its only item stays in memory, and in the log
	loads       // it has to be read from its queue
)

// device keeps the order of one device. It is also the entry that the device costs
// while it is asleep.
type device struct {
	// What a push that goes well touches comes first, in one cache line.
	hash        uint64
	line        *Line
	first, last *Item         // in memory, in order
	sent        time.Duration // when the first item was handed on, or its last attempt began
	queued      int32         // items in its queue, not checked out
	arriving    int32         // items on their way to disk, in no chain
	moving      int32         // items between disk and memory or log and queue: checked out, in no chain
	state       state
	pass        bool // its first item goes through closed doors
	clear       bool // since the entry was made, the log had nothing of it that was not checked out
	early       bool // its first item is asked about before its wait is over
	late        bool // stands behind those never asked about: its first was, or it has waited on its own account

	token  deviceToken
	due    time.Duration
	failed time.Duration // when the first item last failed, if it has
	at     int           // its place in the line's atDoor or the lane's waiting, plus one; 0: in neither
}

// unknownMany stands for the length of a queue that has not been read yet.
const unknownMany = 1 << 30

func (d *device) asleep() bool { return d.state >= door }

// waitsAlone reports whether d waits on its own account, until due.
func (d *device) waitsAlone() bool { return d.state == waits || d.state == dozes }

// owns reports whether what comes now for d belongs in its queue.
func (d *device) owns() bool {
	return d.queued > 0 || d.moving > 0 ||
		d.asleep() && d.state != dozes && d.first != nil && (d.first.stored == inQueue || d.first.Flags.Attempts > 0)
}

// owned reports whether everything of d in memory before the item is in the device's
// queue, or gets there no later than the item.
func (d *device) owned(it *Item) bool {
	for x := d.first; x != nil && x != it; x = x.behind {
		if x.stored != inQueue && x.write != toQueue {
			return false
		}
	}
	return true
}

// bare reports whether nothing of d is only on disk, or on its way there.
func (d *device) bare() bool { return d.queued+d.moving+d.arriving == 0 }

// find gives the device of token, if it has an entry. Devices are told apart by
// a hash, and then by the token: one that finds its place taken has the next place.
func (n *Line) find(token []byte) (d *device, hash uint64) {
	for hash = maphash.Bytes(n.seed, token) &^ n.blur; ; hash++ {
		if d = n.devices[hash]; d == nil || bytes.Equal(d.token.bytes(), token) {
			return d, hash
		}
		n.crowded = true
	}
}

// device finds or makes the entry of token.
func (l *Lane) device(n *Line, token []byte) *device {
	d, hash := n.find(token)
	if d != nil {
		return d
	}
	d = freeDevices.Get().(*device)
	*d = device{token: deviceToken{other: d.token.other}, hash: hash, line: n}
	d.token.set(token)
	n.devices[hash] = d
	if n.unlisted && n.disk.Queued(token) {
		d.queued = unknownMany
		l.park(d, l.delays.First)
	}
	return d
}

// freeDevices are unused entries, shared by all lanes: one comes and goes with every
// notification that is on its way.
var freeDevices = sync.Pool{New: func() any { return new(device) }}

// drop removes the entry of d, of which nothing is left.
func (l *Lane) drop(d *device) {
	n := d.line
	delete(n.devices, d.hash)
	for hash := d.hash + 1; n.crowded; hash++ { // whoever found this place taken must not be lost behind it
		x := n.devices[hash]
		if x == nil {
			break
		}
		delete(n.devices, hash)
		_, x.hash = n.find(x.token.bytes())
		n.devices[x.hash] = x
	}
	freeDevices.Put(d)
}

// waitingRoom holds the devices at a line's doors: those whose first item was never
// asked about before those that come back, each kind in order of arrival.
type waitingRoom struct {
	never, late queue
	size        int
}

func (w *waitingRoom) queue(d *device) *queue {
	if d.late {
		return &w.late
	}
	return &w.never
}

func (w *waitingRoom) push(d *device) {
	w.queue(d).push(d)
	w.size++
}

func (w *waitingRoom) remove(d *device) {
	w.queue(d).remove(d)
	w.size--
}

// first is the device that goes next; nil if there is none.
func (w *waitingRoom) first() *device {
	if d := w.never.first(); d != nil {
		return d
	}
	return w.late.first()
}

// queue holds devices in order of arrival, and can remove any of them. device.at is
// one more than the index.
type queue struct {
	list []*device // nil: removed
	head int       // all before are nil
	size int
}

func (w *queue) push(d *device) {
	if w.size*2 < len(w.list) && len(w.list) > 64 {
		w.compact()
	}
	w.list = append(w.list, d)
	d.at = len(w.list)
	w.size++
}

func (w *queue) compact() {
	kept := w.list[:0]
	for _, d := range w.list {
		if d != nil {
			kept = append(kept, d)
			d.at = len(kept)
		}
	}
	clear(w.list[len(kept):])
	w.list, w.head = kept, 0
}

func (w *queue) remove(d *device) {
	w.list[d.at-1], d.at = nil, 0
	if w.size--; w.size == 0 {
		w.list, w.head = nil, 0
	}
}

func (w *queue) first() *device {
	for ; w.head < len(w.list); w.head++ {
		if d := w.list[w.head]; d != nil {
			return d
		}
	}
	return nil
}

// any gives a device at or after a random place; nil if there is none.
func (w *queue) any(random *rand.Rand) *device {
	return w.anyThat(random, func(*device) bool { return true })
}

// anyInMemory gives a device at or after a random place whose first item is in memory;
// nil if there is none.
func (w *queue) anyInMemory(random *rand.Rand) *device {
	return w.anyThat(random, func(d *device) bool { return d.first != nil })
}

func (w *queue) anyThat(random *rand.Rand, fits func(*device) bool) *device {
	if w.size == 0 {
		return nil
	}
	from := random.IntN(len(w.list))
	for i := range w.list {
		if d := w.list[(from+i)%len(w.list)]; d != nil && fits(d) {
			return d
		}
	}
	return nil
}

// dueHeap has the devices that wait on their own account, the next one due in front.
type dueHeap []*device

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i+1, j+1
}
func (h *dueHeap) Push(x any) {
	d := x.(*device)
	*h = append(*h, d)
	d.at = len(*h)
}
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	d.at = 0
	return d
}
