// Package conversation decides what a provider is told: verdicts in the order
// of its frames, the first failure once, and what the frames mean that it sends
// again after it. It is pure: no lock, no clock, no I/O.
//
// A provider that reads the six bytes of an error response believes that all
// frames behind the named one were not sent. They were taken all the same, and
// are delivered; so what it sends again must not be. But many providers never
// send anything again. For both kinds every good notification is to be delivered
// once.
//
//	Window   the notifications of one connection, until their verdicts leave in order
//	Conn     the conversation on one connection: a Window, and whether it was told a failure
//	Ledger   one client over all its connections: what it may send again, and whether it does
//
// # Use
//
// One lock guards a Ledger and its Conns. The owner feeds in events and then carries
// out the decisions of Ledger.Next, in order. Decisions may concern other connections
// of the client than the one with the event.
//
//	event                 when
//	Ledger.Open           a connection begins
//	Conn.Take             a frame was read; forward it if Take says so
//	Conn.Reject           a frame was read and refused at parsing
//	Conn.Settle           a forwarded notification was accepted, spooled, expired or dropped, or its device is gone
//	Conn.Refuse           a forwarded notification was refused
//	Conn.Ended            the provider has ended its side
//	Conn.Closed           the connection is gone, and cannot be told anything any more
//	Conn.ReadOn           whatever still comes is taken, even if the window is full
//	Conn.Shutdown         the gateway stops
//	Conn.TakeOver         the window is full, perhaps of notifications that get no verdict
//	Ledger.Tick           Ledger.Deadline has come
//
//	decision              what the owner does
//	Release               gives back the memory of a notification
//	Forward               sends a notification that was waiting for the verdict on its original
//	TakeOver              delivers a notification on its own account: a failure, or a full window, waits behind it
//	Packet                commits the records, writes the error response, ends our side, reads on
//	Close                 ends our side without a packet, reads on
//	Feedback              puts a bad token on the feedback list: no provider is left to tell
//	Persist               commits records
//
// As long as nothing has failed lately, nothing is hashed or allocated, and an event
// costs a few nanoseconds.
//
// # The rules
//
// A failure is told when it is the head of the window and the first of its
// connection, its frame has an identifier that its neighbours do not have,
// packets are switched on, and this kind of provider is not known never to send
// again (owes). Otherwise its token goes to the feedback list, and the
// connection stays. A failure waits at most a second for the heads before it. A
// provider that has ended its side is told nothing any more.
//
// With the packet begins an episode: all frames behind the failed one, those in
// the window and those that still arrive until the provider ends the
// connection, are remembered. A frame with the same token and payload as one
// remembered is taken for that one, if a library may have named it so
// (original.resent), and swallowed: it gets the verdict of its original. If the
// original was dropped or has expired, it is sent after all. Frames that come in
// the order of the episode, from the first that has not come again, are taken for
// resends under any number: behind the packet on the failed connection itself, and
// on a later one of a kind of which another program is known to keep its numbers. So
// are those with which a later connection begins, under numbers of any kind; what goes
// before them there may be the failed one, or others that were not delivered.
//
// An episode ends at once if the provider cannot have read the packet: it ended
// its side before, and its kernel then refused the packet; or if the provider
// begins its whole list again. Otherwise it lives for ten minutes from its last
// event, or until the kind of provider has been silent for two; for a provider known
// to send again, for an hour. Bad tokens in it that have not come again two minutes
// after its connection ended go to the feedback list; so does the failed one, if
// nothing shows that its packet was read.
//
// Three frames sent again in order, none left out, prove that a kind sends again. A
// tail of which less than half has come again two minutes after the connection ended
// is a miss. After two misses, or one of a long tail, the kind is told nothing for a
// day: then everything is delivered exactly once, whatever it does.
//
// No notification is withheld for want of memory. When memory runs out, the oldest
// entry is given up, and delivered twice should it come again: libraries send again
// the latest that they wrote, as far back as they keep it.
//
// What this promises, and what it cannot promise, is in docs/promises.md, with the
// figures of this package's model test.
package conversation
