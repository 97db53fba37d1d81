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
	// Fail first reads on until the provider pauses in writing, for within at most.
	// Then it sends the error response in one TLS record, ends our side of the
	// connection, and goes on reading until the provider ends its own. A provider
	// that has ended its side before is told nothing; Session.Close reports that.
	// Only the first call of Fail or Close has an effect.
	Fail(status binproto.Status, identifier uint32, within time.Duration)

	// Resume says that a session that had no room has room again.
	Resume()

	// Close ends our side of the connection without a packet: everything that was
	// taken is settled, or the provider is not to be told. As after Fail, what the
	// provider still writes is read.
	Close()
}

// Witness is a Peer that wants to know of every verdict on its notifications, whether or not
// the provider is told. Its methods return at once, and may be called from any goroutine, even
// after the connection is gone. Notifications that were read from the spool no longer belong
// to a session, so it does not hear of those.
type Witness interface {
	// Judged says that APNs has given its last word on a notification, now or when it refused
	// the same token lately. What is sent again and swallowed has no verdict of its own.
	Judged()

	// BadToken says that the token was judged to be bad. It follows Judged.
	BadToken()
}

// Origin says whose connection a session is.
type Origin struct {
	App         string      // the name of a configured app
	Client      string      // who speaks for the app: what it sends again is recognised over all its connections
	Address     netip.Addr  // of the provider
	Roams       bool        // the address may change between connections, so it does not tell programs apart
	Topic       string      // of the client's certificate, for apps that have none set
	Environment Environment // of the port, or of the name asked for; for apps ByListener
	Mute        bool        // the connection cannot carry an error packet
}

// home is the address by which the client's programs are told apart; the zero one if its
// connections come from changing addresses.
func (o Origin) home() netip.Addr {
	if o.Roams {
		return netip.Addr{}
	}
	return o.Address
}
