// Package store says what must be remembered across a restart, in interfaces
// small enough for any database, and holds the loops that work over them.
package store

import (
	"context"
	"time"
)

// Dead is a device on which an app is no longer installed.
type Dead struct {
	Token []byte
	Time  time.Time // when APNs found it gone, in whole seconds, UTC
}

// Feedback is the list of dead devices of each app, as the feedback port gives
// it out. An app's list has each token once.
type Feedback interface {
	// Record puts devices on the list of app. Of two times for one token the
	// later stays. Tokens and times are copied.
	Record(ctx context.Context, app string, dead ...Dead) error

	// Pending gives at most limit entries of the list in the order of their
	// tokens, beginning behind the token after (nil: from the start).
	Pending(ctx context.Context, app string, after []byte, limit int) ([]Dead, error)

	// Forget takes from the list the very entries given: one whose time has
	// changed since stays.
	Forget(ctx context.Context, app string, dead ...Dead) error
}
