// Package lane decides which of an app's notifications go to one environment of
// APNs now, which wait, and whether they wait in memory or on disk. It is pure:
// no lock, no clock, no I/O. Its owner holds a lock around every call, carries out
// what Sink is told after releasing it, and reads and writes the disk without it.
//
// A Lane has a Door, and a Line for each topic that is written down. A line has a
// door and a Guard of its own, and keeps the order of each of its devices: one
// notification of a device is with APNs at a time.
//
// On disk a line has a log, in the order of arrival, of what APNs was never asked
// about; and a queue for each device whose first was asked and has to wait, of it
// and of all behind it. Of one device, everything in its queue is older than
// everything in the log. One rule:
//
//	What has to wait goes to disk, and leaves memory once all of its device is
//	there: at a door, never asked, to its place in the log; after an attempt, to
//	its device's queue, with all behind it.
//
// Asleep on disk a device costs one entry, whatever stands behind its first.
//
//	event                     when
//	Arrive                    a session has taken a notification
//	Admit                     the upstream is about to write a request
//	Answered                  an attempt has come to its end
//	Finish                    what was to be remembered of a verdict is durable
//	Keep                      the bridge answers for a notification that is with APNs
//	Renewed, Try              the operator has changed something, or wants it tried
//	Stop, Start               the app is taken out of the configuration, or is back
//	Wake; Begin, Commit       the lane's goroutine has time: one write
//	Plan, Enter               and one read
//
// The rules, and why they are these, are in docs/design.md.
package lane
