package bridge

import (
	"net/netip"
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
	// taken is settled, or no provider is to be told. As after Fail, what the
	// provider has still written is read.
	Close()
}

// Witness is a Peer that wants to know of the verdicts on its notifications, whether it is
// told of them or not. Its methods return at once, may be called from any goroutine, and also
// after the connection has gone. What was read from the spool is no session's any more.
type Witness interface {
	// Judged says that APNs has given its last word on a notification, now or when its token
	// was refused lately. What is sent again and swallowed has no verdict of its own.
	Judged()

	// BadToken says that this word was that the token is bad. Judged comes before it.
	BadToken()
}

// Origin says whose connection a session is.
type Origin struct {
	App         string      // the name of a configured app
	Client      string      // who speaks for it: what it sends again is recognised over all its connections
	Address     netip.Addr  // where from
	Roams       bool        // the address may be another one the next time: programs are not told apart by it
	Topic       string      // of the client's certificate, for apps that have none set
	Environment Environment // of the port or the name asked for, for apps ByListener
	Mute        bool        // the connection cannot carry an error packet
}

// home is the address by which the client's programs are told apart, none if its
// connections come from here today and from there tomorrow.
func (o Origin) home() netip.Addr {
	if o.Roams {
		return netip.Addr{}
	}
	return o.Address
}
