package bridge

import "sync/atomic"

// tail decides what becomes of the notifications behind a reported failure. The
// provider counts them as not sent and may send them again: those that have not
// gone upstream are dropped, so that they do not arrive twice; those that have
// are left to finish.
type tail struct{ open atomic.Bool }

// begin says that the failure is about to be reported. The six bytes go out
// after it has returned.
func (t *tail) begin() { t.open.Store(true) }

// takes says whether a notification that arrives now is to be taken at all.
func (t *tail) takes() bool { return !t.open.Load() }

// wants says whether a notification that is in the window, and has not gone
// upstream yet, is still to go.
func (t *tail) wants() bool { return !t.open.Load() }
