package bridge

import (
	"time"

	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/feedback"
	"apnsbridge/bridge/lane"
)

// feedDead puts the device of n on the feedback list as of the time at, and then lets n
// settle.
func (l *appLane) feedDead(n *notification, at time.Time) {
	l.feed(n, feedback.Entry{At: at}, conversation.Gone)
}

// feedAlive takes the device of n, a push that was accepted, off the list, and then lets n
// settle.
func (l *appLane) feedAlive(n *notification) {
	l.feed(n, feedback.Entry{At: dated(n.Sent), Alive: true}, conversation.Accepted)
}

// feedBad is feedDead for a bad token that was taken over from its provider.
func (l *appLane) feedBad(n *notification) {
	l.feed(n, feedback.Entry{At: dated(n.Sent), Doubt: true}, conversation.Dropped)
}

// feed writes e, about the device of n, and then lets n settle.
func (l *appLane) feed(n *notification, e feedback.Entry, o conversation.Outcome) {
	e.App, e.Token, e.Then = &l.app.feedback, n.Token(), func() { l.finish(n, o) }
	l.app.bridge.feedback.Add(e)
}

// untold puts a bad token of which no provider was told on the list. It keeps token.
func (a *app) untold(token []byte, at time.Time) {
	a.feed(feedback.Entry{Token: token, At: at, Doubt: true})
}

// withdraw takes back what was recorded of a bad token.
func (a *app) withdraw(w lane.Withdrawal) {
	a.feed(feedback.Entry{Token: w.Token, At: w.Recorded.Add(time.Millisecond), Alive: true})
}

// feed writes e. Until it is stored it counts as a notification of its app.
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
