package bridge

import (
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/feedback"
)

// feed writes what e says of the device of n to the feedback list, and then settles n.
func (l *appLane) feed(n *notification, e feedback.Entry, o conversation.Outcome) {
	e.App, e.Token, e.Then = &l.app.feedback, n.Token(), func() { l.finish(n, o) }
	l.app.bridge.feedback.Add(e)
}

// feed writes e to the feedback list, and keeps its token. Until e is stored, it counts as a
// notification of its app.
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
