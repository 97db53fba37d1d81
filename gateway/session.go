package gateway

import (
	"apnsbridge/binproto"
)

// Session is what the gateway's owner makes of one provider's connection. Its
// methods are called one at a time and in the order of the stream, on an event loop
// that other connections share; none may block. They may call the methods of their Conn,
// which take effect when they have returned. Shutdown comes at most once, Close
// exactly once and last.
type Session interface {
	// Push takes a notification. n and what it points to are borrowed until
	// Push returns. It reports whether there is room for another: if not, the
	// gateway stops reading until Conn.Resume, unless a packet has been sent.
	Push(n *binproto.Notification) (room bool)

	// Reject takes a frame that was refused at parsing, in its place in the
	// stream. n has what could be read of it and is borrowed as in Push.
	Reject(n *binproto.Notification, status binproto.Status) (room bool)

	// ReadOn says that the provider has ended its side behind what is still unread,
	// for which there was no room: little is left, and to know its end is worth some
	// memory.
	ReadOn()

	// Shutdown says that the provider has ended its side: close_notify or FIN,
	// or a stream that cannot be read further, was seen behind all frames given
	// to Push. No packet is written any more. The connection stays until the owner
	// calls Conn.Close, which it has to once nothing is unsettled, or Conn.Fail.
	// heard says that an error packet had been written, and that the provider's
	// kernel had acknowledged it when the end was seen; only Linux can tell. It also
	// comes, with false, if a packet was written before all was read, and the
	// connection then broke without an acknowledgement.
	Shutdown(heard bool)

	// Close says that the connection is gone and nothing can be told any more.
	// err is why. It is nil after an orderly end: the provider has ended its
	// side, and its kernel has acknowledged the packet, if there was one. It is
	// io.EOF where Conn.Fail came too late to be obeyed.
	Close(err error)
}
