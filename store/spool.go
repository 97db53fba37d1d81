package store

import (
	"context"
	"time"
)

// SpoolRecord is a notification that is kept until APNs has taken it, or until
// it has come to another end. What Body says is the bridge's own business.
type SpoolRecord struct {
	ID      uint64    // of a place in its queue; the spool gives it, and none twice
	Token   []byte    // the device token, at most 1,024 bytes
	Expires time.Time // in whole seconds, from which on nobody needs it any more; zero: never
	Body    []byte    // at most 1 MiB
}

// SpoolBatch is what one Put adds to a queue.
type SpoolBatch struct {
	Queue   string // an app and an environment of APNs, 1 to 1,024 bytes
	Records []SpoolRecord
}

// Spool keeps notifications in queues, each in the order in which they came.
//
// A record that was put or taken is in its owner's hands: nobody takes it again,
// until he returns it or the process has ended. When it is done it is in the
// spool no more. A record that has expired is given like any other; when there is no
// room for others, such as are in nobody's hands may leave by themselves.
//
// All methods are safe for concurrent use. Put and Take are ordered against each
// other by their callers.
type Spool interface {
	// Put adds records at the ends of their queues, all or none, and sets their
	// IDs: greater than all before in the same queue. They are durable when it
	// returns without an error, and in the caller's hands. What they point to is
	// borrowed until it returns. If the spool has no room it is ErrSpoolFull; a
	// queue that takes next to nothing of it always has room for a little.
	Put(ctx context.Context, batches ...SpoolBatch) error

	// Take gives records of queue that are in nobody's hands, oldest first: as many
	// as there are, up to limit in number and, behind the first, bytes in all. The
	// caller owns them and their memory.
	Take(ctx context.Context, queue string, limit int, bytes int64) ([]SpoolRecord, error)

	// Return gives records out of the owner's hands: Take gives them again, in
	// their old places. It asks memory only.
	Return(queue string, ids ...uint64)

	// Done ends the life of records in the owner's hands. It asks memory only:
	// that they have ended is durable with the next Put, or shortly after.
	Done(queue string, ids ...uint64)

	// Waiting is how many records of queue are in nobody's hands.
	Waiting(queue string) int

	// Queues gives the names of the queues that are not empty.
	Queues() []string

	// Flush makes durable that records are done.
	Flush(ctx context.Context) error
}

// DefaultSpoolBytes is the default of the bound of a spool.
const DefaultSpoolBytes int64 = 1 << 30
