// Package lease has the rules by which a node of a fleet knows which apps it owns.
// It is pure: no lock, no clock, no I/O. Its owner asks the store (store.Leases) and
// tells a Lease what came of it, with instants of a monotonic clock of its process.
//
// A node renews its lease every Renew. The store has it run for Length from the moment
// in which the renewal is carried out there, by the store's own clock. The node trusts
// in it until Trust after the moment in which it *sent* the renewal, by its own clock:
// the message can only have arrived later, so with Trust < Length the node stops before
// the store lets another claim what it has, whatever the two clocks show. They must only
// run at the same speed, within Length - Trust.
//
//	sent ──────────── Trust ───────────▶ deadline: nothing is done as an owner any more
//	   carried out ────────────── Length ───────────▶ others may claim
//
// An app's epoch is the number of its claim. The store refuses writes in the name of an
// older one, so a node that is paused after it last checked the deadline can only repeat
// what it had already taken out.
//
//	event       what has happened
//	Renewed     a join or a renewal has succeeded, with a view of the whole fleet
//	Over        the store knows of no lease of this process: it must join again
//	Claimed     a claim has succeeded
//	Give        the node lets go of an app; it does nothing more as its owner
//	Given       and the store knows
//
// A node claims the apps that a session wants (the caller knows), that were given to it, or
// that it had in an earlier life, and its share of those that dead nodes have left: among
// the living nodes each app has one heir that all of them agree on, so they need not race.
package lease
