package store

import (
	"context"
	"errors"
	"strings"
)

var (
	// ErrSpoolFull says that a spool has reached its bound in bytes.
	ErrSpoolFull = errors.New("store: the spool is full")

	// ErrDeviceFull says that a device has all that it may take of a spool.
	ErrDeviceFull = errors.New("store: the device's queue is full")

	// ErrUnstorable says that a record can never be kept as it is: it is too large,
	// or not checked out by the caller. The error that wraps it says why.
	ErrUnstorable = errors.New("store: the record cannot be kept")
)

// Bounds of what a Spool keeps.
const (
	MaxSpoolName  = 1024    // bytes of a line's three names together
	MaxSpoolToken = 4096    // bytes of a device token
	MaxSpoolBody  = 1 << 20 // bytes of a body
)

// Line names what waits under one topic of an app in one environment. None of its
// names has a zero byte.
type Line struct {
	App         string
	Environment string // "production" or "sandbox"
	Topic       string // empty: the one that the app is configured with
}

// Joined is the names of l in one, with a zero byte between them.
func (l Line) Joined() string { return l.App + "\x00" + l.Environment + "\x00" + l.Topic }

// ParseLine takes apart what Joined gave.
func ParseLine(name string) (l Line, ok bool) {
	sections := strings.Split(name, "\x00")
	if len(sections) != 3 {
		return l, false
	}
	return Line{App: sections[0], Environment: sections[1], Topic: sections[2]}, true
}

// SpoolKey names a record that the caller holds.
type SpoolKey struct {
	ID     uint64 // given once by the first Put, growing over the store, never changed by a move; 0: not stored yet
	Queued bool   // it is, or goes, into its device's queue; else the log
	Token  []byte // the device token, at most MaxSpoolToken
}

// SpoolRecord is a notification that is kept until it has come to an end.
type SpoolRecord struct {
	SpoolKey
	Expires int64   // seconds since 1970 from which on it is not needed; 0: never
	Flags   [8]byte // of attempts, opaque; the log keeps none
	Body    []byte  // at most MaxSpoolBody, opaque

	// Broken is set by Take, TakeOf and Sample: the record cannot be read, and the
	// caller is to call Done. ID is good, and Token is unless it is nil. nil: it is
	// whole.
	Broken error
}

// SpoolBatch is what a Put does to one line, in the order in which it came.
type SpoolBatch struct {
	Line    Line
	Records []SpoolRecord // Queued of each says where it goes
}

// QueuedDevice is a device with a queue.
type QueuedDevice struct {
	Token   []byte
	Records int // that are not checked out
}

// Spool keeps notifications. Each line has a log of what was never asked, in
// the order of arrival, and a queue for each device whose first was asked and has
// to wait. Within each the order is that of IDs.
//
// What was put, taken or sampled is in its caller's hands: it is not given again
// until it is returned or the process has ended. A record that has expired is given
// like any other; when there is no room, records that are not checked out may leave.
//
// A read has three outcomes: nothing there (an empty list), an error (it cannot be
// read now), and records, of which some may be Broken. What is read belongs to the
// caller. All methods are safe for concurrent use.
type Spool interface {
	// Put does all of batches or, with an error, none, and it is durable when it
	// returns. What batches point to is borrowed until then. A record with
	//
	//   - ID 0 is appended to the log or to its device's queue, and its ID is set;
	//   - an ID of the log and Queued is moved to its device's queue. It needs its Body;
	//   - an ID of a queue and Queued has its Flags rewritten. Body and Expires are not
	//     looked at.
	//
	// Puts that come during a commit share the next one. Errors: ErrSpoolFull, until
	// something has left; ErrDeviceFull, if half of the bound is used and a record with
	// ID 0 would have a queue take more than one device may; ErrUnstorable. An app that takes next to nothing
	// always has a little room. Moves and rewrites have a reserve and no bound by
	// device. After a crash a part of what a Put had not finished may be there.
	Put(ctx context.Context, batches ...SpoolBatch) error

	// Take gives records of the line's log, oldest first: up to limit in number and,
	// behind the first, up to bytes of tokens and bodies.
	Take(ctx context.Context, line Line, limit int, bytes int64) ([]SpoolRecord, error)

	// TakeOf gives records of one device's queue, with bounds as of Take.
	TakeOf(ctx context.Context, line Line, token []byte, limit int, bytes int64) ([]SpoolRecord, error)

	// Sample gives up to limit records from anywhere in the beginning of the line's
	// log (100,000 records, less if they lie scattered), each the first of its device
	// there, also counting those checked out, of devices for which free holds.
	// It calls free without a lock of its own.
	Sample(ctx context.Context, line Line, limit int, free func(token []byte) bool) ([]SpoolRecord, error)

	// Return gives records out of the caller's hands, to their old places. It asks
	// memory only.
	Return(line Line, keys ...SpoolKey)

	// Done ends the life of records in the caller's hands. It asks memory only: that
	// they have ended is written with the next Put, and durable shortly after.
	Done(line Line, keys ...SpoolKey)

	// Waiting is how many records are in the line's log and not checked out. It
	// asks memory only.
	Waiting(line Line) int

	// Queued reports whether the device may have a queue: never wrongly false, rarely
	// wrongly true. It asks memory only.
	Queued(line Line, token []byte) bool

	// Lines gives the lines that are not empty, in the order of their names.
	Lines() []Line

	// Devices gives up to limit devices of which something in a queue is not checked
	// out: those behind after (nil: from the first), shorter tokens first.
	Devices(ctx context.Context, line Line, after []byte, limit int) ([]QueuedDevice, error)

	// Flush makes durable that records are done.
	Flush(ctx context.Context) error

	// Stats is a snapshot.
	Stats() SpoolStats
}

// OwnedSpool is a Spool of several machines: it has the apps that this node owns. A Put
// for another fails with ErrNotOurs, and of another there are no lines.
type OwnedSpool interface {
	Spool

	// Own takes up an app that this node has claimed in an epoch, with all that waits
	// of it not checked out. It is called once for each claim.
	Own(ctx context.Context, app string, epoch uint64) error

	// Disown forgets an app that is another's, or is to be: what is done should be
	// flushed before, and nothing be in anybody's hands.
	Disown(app string)
}

// SpoolStats says how a Spool is doing. Counters run from Open.
type SpoolStats struct {
	Bytes    int64 // on disk
	Bound    int64 // of Bytes
	Lines    []LineWaiting
	Lost     []LineLost
	Segments int    // files of the log
	Expired  uint64 // records that left for want of room
	Broken   uint64 // records met that cannot be read
	Kept     string // the file with their bytes, until it is moved away; "": there is none
}

// LineLost is how many records of a line became unreadable where they waited: they were
// given to no caller.
type LineLost struct {
	Line
	Records int
}

// LineWaiting is what there is of a line, in hands or not.
type LineWaiting struct {
	Line
	Log    int   // records
	Queued int   // records in queues of devices
	Bytes  int64 // that both take
	Since  int64 // seconds since 1970: none was put before that
}
