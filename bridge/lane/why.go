package lane

import "time"

// Wait is why an item is not with APNs.
type Wait uint8

// The reasons.
const (
	NoWait    Wait = iota // it was handed on
	AtDoor                // until APNs serves the app, or its topic: Why gives the door's Reason
	ForItself             // until its device is due
	Behind                // another of its device
	InLog                 // until what came before it on disk has gone
)

// Why gives the reason why it is not with APNs, that of the door at which it waits, and
// for how long at least it waits for itself. It is for whoever is curious: nothing is
// decided by it.
func (l *Lane) Why(it *Item, now Now) (w Wait, at Reason, wait time.Duration) {
	n, d := it.Line, it.device
	switch {
	case d == nil && it.place != arriving:
		return NoWait, Open, 0
	case l.Door.Reason != Open:
		at = l.Door.Reason
	default:
		at = n.Door.Reason
	}
	switch {
	case it.place == arriving && at != Open:
		return AtDoor, at, 0
	case it.place == arriving && d.state == waits, it.place == chained && d.first == it && d.state == waits:
		return ForItself, Open, max(0, d.due-now.Mono)
	case it.place == arriving:
		return InLog, Open, 0
	case d.first != it:
		return Behind, at, 0
	case d.state == door:
		return AtDoor, at, 0
	}
	return NoWait, Open, 0
}
