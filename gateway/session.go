package gateway

import (
	"apnsbridge/binproto"
)

// Session is what the gateway's owner makes of one provider's connection. Its methods
// are called one at a time and in the order of the stream, on an event loop that other
// connections share, so none may block. They may call the methods of their Conn, which
// take effect after they have returned. Shutdown comes at most once, Close exactly once
// and last.
type Session interface {
	// Push takes a notification. n and what it points to are borrowed until
	// Push returns. It reports whether there is room for another: if not, the
	// gateway stops reading until Conn.Resume, unless a packet has been sent.
	Push(n *binproto.Notification) (room bool)

	// Reject takes a frame that was refused at parsing, in its place in the
	// stream. n has what could be read of it and is borrowed as in Push.
	Reject(n *binproto.Notification, status binproto.Status) (room bool)

	// ReadOn says that the provider has ended its side, but that something before its
	// end is still unread for lack of room. Little is left, and it is worth some memory
	// to get to the end.
	ReadOn()

	// Shutdown says that the provider has ended its side: after all frames given to
	// Push came close_notify, FIN, or something that cannot be read. From then on no
	// packet is written. The connection stays until the owner calls Conn.Fail or
	// Conn.Close; it has to call Close once nothing is unsettled.
	//
	// heard says that an error packet had been written, and that the provider's kernel
	// had acknowledged it when the end was seen; only Linux can tell. Shutdown is also
	// called, with false, if a packet was written before everything was read, and the
	// connection then broke without an acknowledgement.
	Shutdown(heard bool)

	// Close says that the connection is gone, so that the provider cannot be told
	// anything any more. err says why. It is nil after an orderly end: the provider has
	// ended its side, and its kernel has acknowledged the packet, if there was one. It
	// is io.EOF if Conn.Fail came too late to have an effect.
	Close(err error)
}
