// Package store says what must be remembered across a restart, in interfaces
// small enough for any database, and holds the loops that work over them.
package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrClosed says that the store has been closed.
var ErrClosed = errors.New("store: closed")

// Dead is a device on which an app is no longer installed.
type Dead struct {
	Token []byte
	Time  time.Time // when APNs found it gone, in whole milliseconds, UTC

	// Revision is the list's revision with which the entry came or last
	// changed. The store sets it; Record and Forget do not look at it.
	Revision uint64
}

// Feedback is the list of dead devices of each app, as the feedback port gives
// it out. An app's list has each token once. It is bounded in number and in
// time: what has stood longest on it unchanged leaves first. Times are compared
// in whole milliseconds.
//
// What has been forgotten stays FeedbackGivenAge to be given again, in no larger
// number than the list may have: what was forgotten first leaves first. A token
// that is forgotten twice is there once, with its later time and from the later
// moment on.
//
// All methods are safe for concurrent use; a change is durable when its method
// returns without an error.
type Feedback interface {
	// Record puts devices on the list of app. Of two times for one token the
	// later stays. Tokens are copied.
	Record(ctx context.Context, app string, dead ...Dead) error

	// Revive takes token off the list, and from what can be given again, where
	// it was found dead before sent: a push that was sent then has been accepted.
	Revive(ctx context.Context, app string, token []byte, sent time.Time) error

	// Listed reports whether there may be something for Revive to do: whether token
	// may be on the list of app or among what can be given again. It asks memory
	// only and allocates nothing. It can be wrong only about a token that has
	// left either by its age.
	Listed(app string, token []byte) bool

	// Revision is the number of the latest change of app's list that put an
	// entry on it or changed one. It never goes back.
	Revision(ctx context.Context, app string) (uint64, error)

	// Pending gives at most limit entries of the list in the order of their
	// revisions, beginning behind the revision after. The caller owns them.
	Pending(ctx context.Context, app string, after uint64, limit int) ([]Dead, error)

	// Forget takes from the list the very entries given, which can then be given
	// again. One whose time has changed since stays.
	Forget(ctx context.Context, app string, dead ...Dead) error

	// Again puts what can be given again back on the list of app, each token with
	// the time it had, and says how many that were. They come as new, with
	// revisions and an age of their own. A token that is on the list with the same
	// time or a later one stays as it is there and does not count; one that has
	// been revived since does not come back. Nothing leaves the list for them: if
	// it is full, or after an error, n of them are back and the next Again goes on.
	Again(ctx context.Context, app string) (n int, err error)
}

// FeedbackGivenAge is how long what has been given can be given again.
const FeedbackGivenAge = 24 * time.Hour

// maxToken is far more than the 100 bytes APNs speaks of, and little enough
// for the keys of any database.
const maxToken = 1024

// CheckDead says what in dead no list can hold. It is for those who implement
// Feedback.
func CheckDead(app string, dead []Dead) error {
	if app == "" {
		return errors.New("store: feedback for an app without a name")
	}
	for _, d := range dead {
		if len(d.Token) == 0 || len(d.Token) > maxToken {
			return fmt.Errorf("store: feedback for a token of %d bytes; 1 to %d can be kept", len(d.Token), maxToken)
		}
		if s := d.Time.Unix(); s < 0 || s > math.MaxUint32 {
			return fmt.Errorf("store: feedback of %s; a tuple holds 1970 to 2106", d.Time.UTC().Format(time.RFC3339))
		}
	}
	return nil
}
