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
// in whole milliseconds. All methods are safe for concurrent use; a change is
// durable when its method returns without an error.
type Feedback interface {
	// Record puts devices on the list of app. Of two times for one token the
	// later stays. Tokens are copied.
	Record(ctx context.Context, app string, dead ...Dead) error

	// Revive takes token off the list, if it was found dead before sent: a push
	// that was sent then has been accepted.
	Revive(ctx context.Context, app string, token []byte, sent time.Time) error

	// Listed says whether token may be on the list of app, from memory and
	// without an allocation. It can be wrong only about a token that was on the
	// list and left it by its age.
	Listed(app string, token []byte) bool

	// Revision is the number of the latest change of app's list that put an
	// entry on it or changed one. It never goes back.
	Revision(ctx context.Context, app string) (uint64, error)

	// Pending gives at most limit entries of the list in the order of their
	// revisions, beginning behind the revision after. The caller owns them.
	Pending(ctx context.Context, app string, after uint64, limit int) ([]Dead, error)

	// Forget takes from the list the very entries given: one whose time has
	// changed since stays.
	Forget(ctx context.Context, app string, dead ...Dead) error
}

// The defaults of the bounds that every store keeps.
const (
	DefaultFeedbackEntries = 1_000_000           // of one app
	DefaultFeedbackAge     = 90 * 24 * time.Hour // since it was listed
)

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
