// Package fleet makes several gateways act as one: an app lives on one node at a time, and
// sessions of an app that lives elsewhere are carried there.
//
// A Machine knows where each app lives as far as this node is concerned. It is pure: no
// lock, no clock, no I/O. Its owner asks the store (store.Leases) and the bridge, tells
// the machine what came of it, and carries out what it wants.
//
//	place      sessions                    packets and what others share
//	Elsewhere  carried to the owner        no
//	Claiming   not read                    no
//	Here       local                       yes, before the deadline
//	Giving     read out; new ones wait     no
//	Loose      local, without an answer    no
//
// An app is Loose on a node without a lease, whether the store is away or the other nodes have
// gone on without this one: the node delivers what its own connections bring but tells no
// provider of a failure, which is correct for every provider and needs no shared memory.
//
//	Elsewhere → Claiming   a session comes and no node has the app, or the app falls to us
//	Claiming  → Here       it is claimed, and what was stored of it is loaded
//	          → Elsewhere  another has it
//	          → Loose      eight seconds have passed
//	Here      → Loose      the deadline has passed
//	          → Elsewhere  another has it
//	          → Giving     this node ends, or an operator wants it
//	Giving    → Elsewhere  the next owner may claim it
//	Loose     → Here       the lease is back, in the same epoch or a new claim
//	          → Elsewhere  the lease is back, and another has the app
package fleet
