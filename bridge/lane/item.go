package lane

import "runtime"

// Item is a notification as its lane sees it. Its owner embeds it, fills in the
// exported fields before Arrive or Enter, and afterwards changes none but Flags.
type Item struct {
	// What an answer touches comes first.
	device *device // set while place is arriving, chained or moving
	behind *Item   // the next of the same device
	place  place
	stored stored
	write  write
	saved  Flags // the flags on disk, or on their way there

	Flags   Flags  // what attempts have led to
	Read    bool   // read from disk: it counts as read ahead
	Line    *Line  // of its topic
	ID      uint64 // on disk; 0: it is not there, or not yet. Once set it never changes
	Size    int64  // the bytes it counts for while in memory
	Expires int64  // seconds since 1970 from which it need not be sent; 0: never
	Owner   any    // leads back to the notification
	Token   []byte // the device token
}

// Fetch has the processor fetch what Admit and Answered look at, of an item that is with
// the upstream: there are more of them than the caches hold, and of many together it comes at
// the same time. None of it changes before the answer, so the lane need not be locked.
func (it *Item) Fetch() {
	runtime.KeepAlive(it.Line)
	runtime.KeepAlive(it.device.line)
}

// Flags are what attempts at a notification have led to. They go to disk with
// a notification that waits there after an attempt.
type Flags struct {
	Attempts  uint8 // begun; it stops at 255
	Failures  uint8 // that others could have had as well; it stops at 255
	Throttled uint8 // attempts that ended in 429 for the device
	Strange   uint8 // attempts that ended in an unknown reason
	Unlooked  uint8 // attempts in a row that APNs has not processed
	Repeated  bool  // an attempt without an answer was repeated
	Amended   bool  // the request was changed once
	Renewed   bool  // the JWT was renewed for it once
}

// Bytes gives the flags as they are stored on disk.
func (f Flags) Bytes() (b [8]byte) {
	b = [8]byte{0: f.Attempts, 1: f.Failures, 2: f.Throttled, 3: f.Strange, 4: f.Unlooked}
	for i, set := range [...]bool{f.Repeated, f.Amended, f.Renewed} {
		if set {
			b[5] |= 1 << i
		}
	}
	return b
}

// FlagsOf reads what Bytes gave.
func FlagsOf(b [8]byte) Flags {
	return Flags{Attempts: b[0], Failures: b[1], Throttled: b[2], Strange: b[3], Unlooked: b[4],
		Repeated: b[5]&1 != 0, Amended: b[5]&2 != 0, Renewed: b[5]&4 != 0}
}

func increment(n *uint8) { *n += min(1, 255-*n) }

// place is where an item in memory stands.
type place uint8

const (
	fresh    place = iota // just arrived, from a session or from disk
	arriving              // on its way to disk, and in no chain
	chained               // in its device's chain
	moving                // on its way from the log to its device's queue, and in no chain
	ending                // out of its chain; Finish follows
	left                  // ended
)

// stored is where an item is on disk.
type stored uint8

const (
	nowhere stored = iota
	inLog
	inQueue // of its device
)

// write tells whether an item is on its way to disk.
type write uint8

const (
	unwritten write = iota // no
	due                    // in Lane.puts
	toLog                  // being written to the log
	toQueue                // being written to its device's queue
)

// dirty reports whether the flags on disk are out of date.
func (it *Item) dirty() bool { return it.ID != 0 && it.Flags.Attempts > 0 && it.Flags != it.saved }

// Queued reports whether the item is on disk in its device's queue.
func (it *Item) Queued() bool { return it.stored == inQueue }

// ToQueue reports, between Begin and Commit, whether the item is to be written to its
// device's queue, and not to the log.
func (it *Item) ToQueue() bool { return it.write == toQueue }

// Chained reports whether the item is in its device's chain: it may be with APNs.
func (it *Item) Chained() bool { return it.place == chained }

// SavedFlags are, between Begin and Commit, the flags to be written.
func (it *Item) SavedFlags() Flags { return it.saved }

// Stored tells an item that was read from disk where it is there.
func (it *Item) Stored(queued bool) {
	it.Read, it.saved, it.stored = true, it.Flags, inLog
	if queued {
		it.stored = inQueue
	}
}
