package lane

import (
	"container/heap"
	"hash/maphash"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Mode is which notifications are written to disk.
type Mode uint8

// The modes, as in the configuration.
const (
	Off      Mode = iota // none
	Overflow             // those that have to wait
	Always               // all, before they are sent
)

// Now is the time: Mono dates attempts and waits and never goes back; Wall, in
// seconds since 1970, is for what has gone over the wire; Time is the clock's, for
// what others are told.
type Now struct {
	Mono time.Duration
	Wall int64
	Time time.Time
}

// Sink is told what a lane has decided. Its methods are called under the lane's
// lock: they note what is to be done after it is released.
type Sink interface {
	// Send hands an item to the upstream, which calls Admit before the request
	// and Answered after it.
	Send(*Item)
	// Release says that an item waits, nobody knows how long, and that the bridge
	// answers for it: its provider hears no more of it.
	Release(*Item)
	// Left says that an item is on disk only. The lane has let go of it.
	Left(*Item)
	// Ended says that an item comes to an end without a verdict. Gone follows.
	Ended(*Item, End)
	// Gone says that the lane has let go of an item that has come to its end.
	Gone(*Item)
	// Ruled says what the guard of a line makes of APNs' answers.
	Ruled(*Line, Ruling)
	// Full reports whether there is no memory for arrivals, and Roomy whether less
	// than half of it is used.
	Full() bool
	Roomy() bool
}

// End is how an item ends without a verdict.
type End uint8

// The ends.
const (
	Expired    End = iota // before APNs took it
	Crowded               // memory, or what its device may take of the disk, is full of what waits for the device
	Unreadable            // on disk
	Abandoned             // at the end of the process
)

// Config is what a lane is made of.
type Config struct {
	Mode    Mode
	Sink    Sink
	Delays  Delays
	Ahead   int64         // bytes of what was read from disk, in memory
	Entries int           // of devices asleep that are this lane's own
	Asleep  *Entries      // and of all lanes
	Random  *rand.Rand    // for draws
	Retry   time.Duration // after a failure to write
}

// Entries are the devices asleep in all lanes of a process, against Limit.
type Entries struct {
	Limit int64
	used  atomic.Int64
}

// Used is how many there are.
func (e *Entries) Used() int64 { return e.used.Load() }

// Lane is an app's way into one environment of APNs.
type Lane struct {
	Config
	Door Door
	Wake bool // the lane's goroutine has something to do

	delays  *Delays
	lines   []*Line
	byName  map[string]*Line
	seed    maphash.Seed
	waiting dueHeap
	loading fifo[*device]
	spare   []*device
	asleep  int // entries counted in Asleep

	puts   fifo[put] // to be written, in this order
	batch  []put     // being written
	order  uint64    // of the last put
	barred fifo[barrier]
	retry  time.Duration // when what could not be written is tried again
	full   bool          // meanwhile what is on disk already may be moved
	moves  bool          // there may be some of that in puts
	freed  bool          // something has left the disk meanwhile

	ahead    int64 // bytes in memory of what was read
	draws    [][]*Line
	unread   time.Duration // when what could not be read is tried again
	reading  bool          // a read is under way: what comes does not overtake it
	turn     bool          // queues are read before logs, the next time after them
	nextLine int           // has its turn first

	lastGood time.Duration // when the last push was sent that had a good answer
	stopped  bool          // nothing is sent
	quiet    bool          // nothing is read: the end is near
	now      Now
}

// New makes a lane without lines, in which all doors are open.
func New(c Config) *Lane {
	l := &Lane{Config: c, byName: make(map[string]*Line), seed: maphash.MakeSeed()}
	l.delays = &l.Config.Delays
	l.Door.delays = l.delays
	return l
}

// Line finds the line of that name, which is empty for the app's configured topic,
// and nil if there is none.
func (l *Lane) Line(name string) *Line { return l.byName[name] }

// Lines gives all lines. They are the lane's.
func (l *Lane) Lines() []*Line { return l.lines }

// AddLine makes a line.
func (l *Lane) AddLine(name string, disk Disk) *Line {
	n := &Line{Name: name, disk: disk, devices: make(map[uint64]*device), seed: l.seed}
	n.Door.delays = l.delays
	l.lines = append(l.lines, n)
	l.byName[name] = n
	return n
}

// Spent reports whether nothing of n is in memory or on disk, and it has nothing to
// remember.
func (n *Line) Spent() bool {
	return len(n.devices) == 0 && n.Door.Reason == Open && !n.unlisted && n.disk.Waiting() == 0
}

// RemoveLine forgets a line that is spent.
func (l *Lane) RemoveLine(n *Line) {
	for i, x := range l.lines {
		if x == n {
			l.lines = append(l.lines[:i], l.lines[i+1:]...)
		}
	}
	delete(l.byName, n.Name)
}

func (l *Lane) closed(n *Line) bool { return l.Door.Reason != Open || n.Door.Reason != Open }

// Troubled reports whether an upstream has to ask Admit.
func (l *Lane) Troubled() bool {
	if l.stopped || l.Door.Reason != Open {
		return true
	}
	for _, n := range l.lines {
		if n.Door.Reason != Open {
			return true
		}
	}
	return false
}

// Arrive takes an item from a session.
func (l *Lane) Arrive(it *Item, now Now) {
	l.now = now
	n := it.Line
	d := l.device(n, it.Token)
	l.Door.fresh(now.Mono)
	n.Door.fresh(now.Mono)
	if l.Mode == Off || l.goesStraight(d) {
		l.enter(d, it)
		if l.releases(d) {
			l.Sink.Release(it)
		}
		l.Wake = l.Wake || l.givesWay()
		return
	}
	l.spill(d)
	it.place = arriving
	d.arriving++
	l.put(it)
}

// goesStraight reports whether what arrives for d need not be put on disk: it is
// nobody's turn before it.
func (l *Lane) goesStraight(d *device) bool {
	return l.Mode == Overflow && !l.stopped && !l.closed(d.line) && !d.asleep() && d.bare() &&
		!l.reading && d.line.disk.Waiting() == 0 && l.Sink.Roomy()
}

// Keep has an item stored that is with APNs, and what is in memory before it: the
// bridge answers for it from now on.
func (l *Lane) Keep(it *Item, now Now) {
	l.now = now
	if d, _ := it.Line.find(it.Token); d != nil {
		l.spill(d)
	}
}

// spill has all of d on disk, before anything younger is.
func (l *Lane) spill(d *device) {
	for it := d.first; it != nil; it = it.behind {
		if it.ID == 0 {
			l.put(it)
		}
	}
}

func (l *Lane) enter(d *device, it *Item) {
	it.place = chained
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

// next does what is due for d, of which nothing is with APNs and which need not
// wait for itself.
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
		d.line.atDoor.push(d)
		l.sleep(1)
		l.releaseAll(d)
		l.stow(d)
		l.Wake = true
	case it == nil:
		d.state = loads
		l.loading.push(d)
		l.Wake = true
	default:
		d.state = out
		d.sent = l.now.Mono
		increment(&it.Flags.Attempts)
		l.Sink.Send(it)
	}
}

// waste notes that APNs was not asked about one that was let through.
func (l *Lane) waste(d *device) {
	d.pass = false
	l.probeAgain(d.line)
}

// probeAgain makes a probe due at the doors of n: the last one was not spent.
func (l *Lane) probeAgain(n *Line) {
	l.Wake = true
	if l.Door.Reason != Open {
		l.Door.Probe = l.now.Mono
	}
	n.Door.Probe = l.now.Mono
}

// park has d wait for itself.
func (l *Lane) park(d *device, wait time.Duration) {
	d.state, d.due = waits, l.now.Mono+wait
	heap.Push(&l.waiting, d)
	l.sleep(1)
	l.Wake = l.Wake || d.at == 1 || l.givesWay()
	l.releaseAll(d)
	l.stow(d)
}

// releases reports whether the bridge answers for what waits of d though it is not
// on disk: there is none, and nobody knows how long it will be.
func (l *Lane) releases(d *device) bool {
	return l.Mode == Off && (d.state == waits || d.state == door && l.Door.Reason == Unreachable)
}

func (l *Lane) releaseAll(d *device) {
	if !l.releases(d) {
		return
	}
	for it := d.first; it != nil; it = it.behind {
		l.Sink.Release(it)
	}
}

// sleep counts n entries asleep.
func (l *Lane) sleep(n int) {
	l.asleep += n
	l.Asleep.used.Add(int64(n))
}

// stow puts all of d, which is asleep, on disk, and out of memory when it is there:
// to its queue if it has one or its first was asked, else in the log.
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
	case d.queued+d.moving == 0:
		l.forget(d)
		d.state = idle
		if d.arriving == 0 {
			l.drop(d)
		}
	case d.state != loads && d.moving+d.arriving == 0 && l.crowded() && (d.state == waits || d.line.atDoor.size > atATime):
		l.evict(d)
	}
}

// crowded reports whether there are more entries than there may be.
func (l *Lane) crowded() bool { return l.asleep > l.Entries && l.Asleep.used.Load() > l.Asleep.Limit }

// evict forgets d, all of which is in its queue on disk. It is found there again in
// its turn.
func (l *Lane) evict(d *device) {
	l.forget(d)
	d.line.unlisted = true
	l.drop(d)
}

// giveBack has it, which is on disk, leave memory.
func (l *Lane) giveBack(d *device, it *Item) {
	d.line.disk.Return(it)
	if it.stored == inQueue {
		d.queued++
	} else {
		d.line.returned = min(d.line.returned, it.ID)
	}
	it.place = left
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

// forget takes d out of where it waits.
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

// end ends the way of the first of d without a verdict.
func (l *Lane) end(d *device, how End) { l.endIt(l.leave(d), how) }

func (l *Lane) endIt(it *Item, how End) {
	l.Sink.Ended(it, how)
	if l.Finish(it) {
		l.Sink.Gone(it)
	}
}

// leave takes the first of d out of its chain.
func (l *Lane) leave(d *device) *Item {
	it := d.first
	if d.first = it.behind; d.first == nil {
		d.last = nil
	}
	it.behind, it.place, d.failed = nil, ending, 0
	l.free(it)
	return it
}

// Finish says that what was to be remembered of an item that has come to its end is
// durable. It reports whether the lane has let go of it; otherwise Gone follows.
func (l *Lane) Finish(it *Item) (gone bool) {
	it.place = left
	if it.write != unwritten {
		return false
	}
	l.done(it)
	return true
}

// done takes an item that has come to its end from the disk.
func (l *Lane) done(it *Item) {
	if it.ID != 0 {
		it.Line.disk.Done(it)
		l.freed = true
		l.Wake = l.Wake || l.retry != 0
	}
}
