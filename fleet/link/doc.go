// Package link carries sessions between the nodes of a fleet: from the entry, where a
// provider has connected, to the owner, where its app lives.
//
// An entry dials each owner once, over TLS 1.3, both sides with a certificate of the
// fleet's own CA. Everything goes over that connection in messages; integers are
// big-endian:
//
//	kind u8 · session u32 · length u32 · body
//
// Both sides begin with hello, and say every second that they are alive. A session's
// number is given by the entry and never used again; 0 is the link itself.
//
//	both    1 hello     version u8 · the node's name
//	        2 alive     state u8, as Config.State has it
//	entry   3 open      whose connection it is, opaque to the link
//	        4 push      a notification as its own frame
//	        5 reject    status u8 · command u8 · has identifier u8 · identifier u32 · layout u32 · skipped u16
//	        6 read on
//	        7 shutdown  heard u8
//	        8 close     how u8: 0 orderly, 1 broken, 2 too late for the packet
//	        9 read      whose feedback is read, opaque
//	       10 written   why not; empty: it was
//	       11 finished  confirmed u8 · acknowledged u8 · why not
//	       12 leave     milliseconds u32: the session is to end, for the entry does
//	owner  16 credit    notifications u32 · bytes u32
//	       17 fail      status u8 · identifier u32 · milliseconds u32 within which
//	       18 end
//	       19 gone      why
//	       20 tuples    of a feedback list, whole
//	       21 finish
//
// Push and reject take credit, as many bytes as the message has: for each session, an entry
// may have a window of notifications and of bytes under way that the owner's session has not
// taken yet. If the owner has no room for a session, the entry stops reading it, as the owner
// would if the connection were its own; the others go on. All sessions of a link share its
// bytes, and each app has a part that no other can take.
//
// What was read from a provider is never thrown away while the link is up: once the
// provider has ended, or was sent a packet, the owner takes what is under way whether it
// has room or not. If the link breaks, the entry cuts its connections, as they would be if
// the gateway died, and the owner closes its sessions as broken. Nothing is sent twice
// on a guess. An entry that ends has its sessions leave first: the owner ends each when its
// provider pauses, as it would its own.
package link
