package bridge

import (
	"time"

	"apnsbridge/binproto"
)

// Peer is the provider at the other end of a session. Its methods return at
// once, may be called from any goroutine, and do nothing once the connection
// has gone.
type Peer interface {
	// Fail sends the error response in one TLS record, ends our side of the
	// connection, and goes on reading until the provider ends its own. Before that
	// it reads until the provider pauses in writing, for as long as within at most;
	// one that has ended its side by then is told nothing, which Session.Close says.
	// Only the first call of Fail or Close has an effect.
	Fail(status binproto.Status, identifier uint32, within time.Duration)

	// Resume says that a session which had no room has room again.
	Resume()

	// Close ends our side of the connection without a packet: all that was
	// taken is settled, or there is nobody to tell. As after Fail, what the
	// provider has still written is read.
	Close()
}

// Witness is a Peer that wants to know of each notification to a bad token, whether it is
// told or not. BadToken returns at once, may be called from any goroutine, and also after
// the connection has gone. What was read from the spool is no session's any more.
type Witness interface{ BadToken() }
