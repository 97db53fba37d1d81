package bridge

import (
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/feedback"
)

// feed writes to the feedback list what e says of the device of n, and then lets n settle.
func (l *appLane) feed(n *notification, e feedback.Entry, o conversation.Outcome) {
	e.App, e.Token, e.Then = &l.app.feedback, n.Token(), func() { l.finish(n, o) }
	l.app.bridge.feedback.Add(e)
}

// feed writes e, and keeps its token. Until it is stored it counts as a notification of its app.
func (a *app) feed(e feedback.Entry) {
	size := notificationOverhead + int64(len(e.Token))
	a.bridge.unsettled.Add(1)
	a.account.Add(size)
	e.App, e.Then = &a.feedback, func() {
		a.account.Give(size)
		a.bridge.settled(1)
	}
	a.bridge.feedback.Add(e)
}
