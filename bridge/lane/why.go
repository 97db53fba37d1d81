package lane

import (
	"fmt"
	"time"
)

// doorWords say what items at a door wait for.
var doorWords = [...]string{
	Open:        "until its device's turn comes",
	Unreachable: "until APNs can be reached and serves again",
	Refused:     "until APNs takes the app's credential",
	Topic:       "until APNs takes the topic",
	Suspect:     "until it is known that the app's device tokens are really bad",
}

// Why says in words why an item is not with APNs; it is empty if the upstream has the item.
// It is only for people to read: nothing is decided by it.
func (l *Lane) Why(it *Item, now Now) string {
	n, d := it.Line, it.device
	if d == nil && it.place != arriving {
		return ""
	}
	at := l.Door.Reason
	if at == Open {
		at = n.Door.Reason
	}
	switch {
	case it.place == arriving && at != Open:
		return doorWords[at]
	case it.place == arriving && d.waitsAlone(), it.place == chained && d.first == it && d.waitsAlone():
		return fmt.Sprintf("for its next attempt, in %v", max(0, d.due-now.Mono).Round(time.Millisecond))
	case it.place == arriving:
		return "behind what came before it and waits on disk, or for room in memory"
	case d.first != it:
		return "behind another notification to the same device"
	case d.state == door:
		return doorWords[at]
	}
	return ""
}

// String says how an item has ended.
func (e End) String() string {
	return [...]string{
		Expired:    "it has expired",
		Crowded:    "there is no room for what waits for its device: memory, or one device's part of the spool, is full",
		Unreadable: "it cannot be read from the spool",
		Abandoned:  "the gateway ends, and has no spool to keep it in",
	}[e]
}
