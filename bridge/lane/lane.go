package lane

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
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

// Now is the time. Mono dates attempts and waits and never goes back. Wall, in seconds
// since 1970, is compared with times from the wire. Time is the clock's, for what others
// are told.
type Now struct {
	Mono time.Duration
	Wall int64
	Time time.Time
}

// Ordered gives the time of an answer that came at now. Answers that come together share one
// reading of the clock; Ordered makes each later than anything the lane was told before.
func (l *Lane) Ordered(now Now) Now {
	now.Mono = max(now.Mono, l.now.Mono+1)
	return now
}

// Sink is told what a lane has decided. Its methods are called under the lane's
// lock: they only note what is to be done once it is released.
type Sink interface {
	// Send gives an item to the upstream, which calls Admit before the request
	// and Answered after it. With fresh it has to go over a new connection.
	Send(it *Item, fresh bool)
	// Release says that an item has to wait, and that the bridge answers for it: its
	// provider hears no more of it. It may be said more than once.
	Release(*Item)
	// Left says that an item is now only on disk. The lane has no more use for the value.
	Left(*Item)
	// Ended says that an item ends without a verdict. Gone follows.
	Ended(*Item, End)
	// Gone says that the lane has no more use for an item that has ended.
	Gone(*Item)
	// Ruled gives the conclusion that a line's guard has drawn from APNs' answers.
	Ruled(*Line, Ruling)
	// Full reports whether there is no memory left for arrivals, and Roomy whether
	// less than half of it is used.
	Full() bool
	Roomy() bool
}

// End is how an item ends without a verdict.
type End uint8

// The ends.
const (
	Expired    End = iota // before APNs took it
	Crowded               // memory, or its device's share of the disk, is full of what waits for the device
	Unreadable            // its record on disk cannot be read
	Abandoned             // the process ended
)

// Config is what a lane is made of.
type Config struct {
	Mode    Mode
	Sink    Sink
	Delays  Delays
	Ahead   int64         // bytes in memory that were read from disk, at most
	Entries int           // devices asleep that this lane may always have
	Asleep  *Entries      // devices asleep in all lanes
	Random  *rand.Rand    // for draws
	Retry   time.Duration // the wait after the disk has failed
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
	asleep  int // entries counted in Asleep
	out     int // devices whose first item the upstream has
	repeats int // of those, the ones that were once asked about without an answer

	puts   fifo[put] // to be written, in this order
	batch  []put     // being written
	order  uint64    // of the last put
	barred fifo[barrier]
	retry  time.Duration // when what could not be written is tried again; 0: nothing failed
	full   bool          // until then, what is already on disk may be moved
	moves  bool          // puts may have some of that
	freed  bool          // something has left the disk since

	ahead    int64 // bytes in memory that were read from disk
	unstored int   // items that are in memory only
	draws    []draw
	unread   time.Duration // when what could not be read is tried again
	reading  bool          // a read is under way
	turn     bool          // queues are read before logs this time, and after them the next
	nextLine int           // the line whose turn comes first

	fullSince time.Duration // in Off: since when memory has been full, but for moments, while devices wait; 0: it is not
	fullAt    time.Duration // when it was last seen full
	expires   int64         // when the first item that sleeps in memory expires, seconds since 1970; 0: none does
	lastGood  time.Duration // when the last push with a good answer was sent
	goodTook  time.Duration // how long that one took
	stopped   bool          // nothing is sent
	quiet     bool          // the process is about to end: see keepsQuiet
	now       Now
}

// New makes a lane without lines, whose door is open.
func New(c Config) *Lane {
	l := &Lane{Config: c, byName: make(map[string]*Line), seed: maphash.MakeSeed()}
	l.delays = &l.Config.Delays
	l.Door.delays = l.delays
	return l
}

// Line finds the line of that name, which is empty for the app's configured topic.
// It is nil if there is none.
func (l *Lane) Line(name string) *Line { return l.byName[name] }

// Lines gives all lines. The slice belongs to the lane.
func (l *Lane) Lines() []*Line { return l.lines }

// AddLine makes a line.
func (l *Lane) AddLine(name string, disk Disk) *Line {
	n := &Line{Name: name, disk: disk, devices: make(map[uint64]*device), seed: l.seed}
	n.Door.delays = l.delays
	l.lines = append(l.lines, n)
	l.byName[name] = n
	return n
}

// Hold says that a session will put items into n, which is not spent until Release has
// been called as often as Hold.
func (n *Line) Hold() { n.holders++ }

// Release takes back a Hold.
func (n *Line) Release() { n.holders-- }

// Idle reports whether nothing of n is in memory or on disk.
func (n *Line) Idle() bool { return len(n.devices) == 0 && !n.unlisted && n.disk.Waiting() == 0 }

// Spent reports whether n is idle, has nothing to remember and is not held.
func (n *Line) Spent() bool {
	return n.Idle() && n.holders == 0 && (n.Door.Reason == Open || n.Door.Reason == Unreachable)
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

// RemoveSpent forgets the lines that are spent, except that of the configured topic.
// It reports whether there were any. It does nothing during a read, which may be of
// one of these lines.
func (l *Lane) RemoveSpent() (removed bool) {
	if l.reading {
		return false
	}
	for _, n := range slices.Clone(l.lines) {
		if n.Name != "" && n.Spent() {
			l.RemoveLine(n)
			removed = true
		}
	}
	return removed
}

func (l *Lane) closed(n *Line) bool { return l.Door.Reason != Open || n.Door.Reason != Open }

// unreachable reports whether the items of n wait for APNs, and not for the operator.
func (l *Lane) unreachable(n *Line) bool {
	return l.Door.Reason == Unreachable || l.Door.Reason == Open && n.Door.Reason == Unreachable
}

// Troubled reports whether an upstream has to call Admit.
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
