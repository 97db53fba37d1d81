// Package lane decides which of an app's notifications go to one environment of
// APNs now, which wait, and whether they wait in memory or on disk. It is pure:
// no lock, no clock, no I/O. Its owner holds a lock around every call, carries out
// what Sink is told once the lock is released, and reads and writes the disk
// without the lock.
//
// A Lane has a Door, and a Line for each topic. A line has a Door and a Guard of its
// own, and keeps the order of each of its devices: one notification of a device is
// with APNs at a time.
//
// On disk a line has a log, in order of arrival, of the notifications that APNs was
// never asked about. A device whose first notification was asked about and has to
// wait also has a queue, which holds that one and all behind it. Everything in a
// device's queue is older than everything of that device in the log. One rule, and
// one exception, for bbolt's sake:
//
//	What has to wait goes to disk, and leaves memory once everything of its device
//	is there. What waits at a door and was never asked about goes to its place in
//	the log; after an attempt it goes to its device's queue, with all behind it.
//
//	The only one of its device, after its first failure, goes to the log and stays in
//	memory, for a second at most: its device dozes.
//
// A device that waits on disk costs one entry in memory, however much it has there.
//
//	event                     when
//	Arrive                    a session has taken a notification
//	Admit                     the upstream is about to write a request
//	Answered                  an attempt has ended
//	Finish                    what has to be remembered of a verdict is durable
//	Keep                      the bridge answers for a notification that is with APNs
//	Renewed, Try              the operator has changed something, or asks for a try
//	Stop, Start               the app leaves the configuration, or is back in it
//	Wake; Begin, Commit       the lane's goroutine has time for one write
//	Plan, Enter               and for one read
//
// The rules and their reasons are in docs/design.md.
package lane
