package bridge

import (
	"fmt"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/budget"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/pushtype"
	"apnsbridge/bridge/upstream"
)

// Session is one provider's connection. Push, Reject, Shutdown and Close are
// called one at a time and in the order of the stream, and do not block.
// Verdicts may come from any goroutine.
type Session struct {
	bridge *Bridge
	app    *app
	client *client
	peer   Peer
	origin Origin
	opened time.Time
	number uint64 // of all sessions, for traces

	// Used by Push alone.
	route *route
	rule  pushtype.Rule
	lane  *appLane
	line  *lane.Line

	// Under the client's lock.
	talk    *conversation.Conn
	parked  bool      // the gateway was told that there is no room
	since   time.Time // when it was parked
	waited  time.Time // the last time at which pauses has found it parked
	gone    bool      // the connection is gone
	touched bool      // on the client's list of that name
}

// Push takes a notification and reports whether there is room for another. frame and
// what it points to are borrowed until Push returns. When there is no room,
// Peer.Resume follows later, perhaps even before Push returns.
func (s *Session) Push(frame *binproto.Notification) (room bool) {
	now := s.bridge.now()
	n := newNotification(s, frame, now)
	s.address(n, frame, now)
	s.lane.counters.taken.Add(1)
	s.lane.counters.skip(frame.Skipped)
	s.app.account.Add(n.Size)

	c := s.client
	c.mu.Lock()
	n.holders = 1
	c.pace.Take(1, now)
	var forward bool
	n.identifier, n.named = frame.Identifier, c.names(frame)
	n.seq, forward = s.talk.Take(n, conversation.FrameOf(frame), now)
	if forward && s.bridge.tombs.Active() && n.named && s.bridge.tombs.Took(n.tombstone()) {
		s.lane.counters.known.Add(1)
		s.talk.Settle(n.seq, conversation.Spooled, now)
		forward = false
	}
	if s.lane.watching(n) {
		s.noteTaken(n, frame, forward)
	}
	var decided *todo
	if forward {
		n.holders++
		s.bridge.unsettled.Add(1)
		// Still under the lock, so that what an episode remembers is on its way to disk.
		decided = s.lane.arrive(n, now)
	}
	room = s.room(now)
	c.carryOut()
	s.lane.perform(decided)
	return room
}

// Reject takes a frame that was refused at parsing, in its place in the stream. n is
// borrowed as in Push.
func (s *Session) Reject(n *binproto.Notification, status binproto.Status) (room bool) {
	s.lane.end(Malformed, status.Error())
	s.lane.counters.skip(n.Skipped)
	s.app.failures.Add(s.failure(status, n.Identifier, n.HasIdentifier, s.bridge.now()))
	s.client.during(func(now time.Time) {
		s.talk.Reject(conversation.FrameOf(n), status, now)
		room = s.room(now)
	})
	return room
}

// Shutdown says that the provider has ended its side. What it sent is delivered,
// and a failure among it is still reported. heard says that it has already received
// an error packet.
func (s *Session) Shutdown(heard bool) {
	s.client.during(func(now time.Time) { s.talk.Ended(heard, now) })
}

// ReadOn says that the provider has ended its side behind data that is still unread:
// that is read even when the window is full.
func (s *Session) ReadOn() {
	s.client.during(func(time.Time) {
		s.talk.ReadOn()
		s.client.touch(s)
	})
}

// Close says that the connection is gone. What was taken is delivered all the same. err
// is nil if both sides ended in an orderly way and what we had written was acknowledged.
func (s *Session) Close(err error) {
	s.client.during(func(now time.Time) {
		s.gone, s.parked = true, false
		s.client.watch(s)
		s.talk.Closed(err == nil, now)
	})
}

// End ends the session, because the bridge ends or the app is no longer configured. The
// provider is told with status 10 where something might be lost otherwise. What it
// writes before it ends the connection is still delivered. End may be called from any
// goroutine and more than once.
func (s *Session) End() {
	s.client.during(func(now time.Time) { s.talk.Shutdown(now) })
}

// Resending is what is known of how providers that write such frames on this session behave
// after an error packet. It may be called from any goroutine.
func (s *Session) Resending(command binproto.Command, layout binproto.Layout) conversation.Resending {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.talk.Resending(command, layout, s.bridge.now())
}

// address fills in the request to APNs, and picks the line that n goes by.
func (s *Session) address(n *notification, frame *binproto.Notification, now time.Time) {
	if route := s.app.route.Load(); route != s.route {
		s.route, s.rule = route, pushtype.NewRule(route.app.PushType, route.app.TopicOf(s.origin.Topic))
		s.letGo()
		s.hold(route) // it fails only for a new session
	}
	n.Line = s.line
	q := &n.Request
	q.ID = upstream.NewUUID()
	s.app.expireAt(n, frame.Expiry, frame.HasExpiry, now)
	q.PushType, q.Priority = s.rule.Choose(frame.Payload, frame.PushPriority())
}

// hold finds or makes the line that the session's notifications go by under route, and holds
// it. A line costs memory, so when there are too many, those are removed that have nothing
// in them and nothing to remember.
func (s *Session) hold(route *route) error {
	a, topic := s.app, ""
	if route.app.Topic == "" { // else the topic is looked up when a notification is sent
		topic = s.origin.Topic
	}
	l, most := route.lanes[route.app.EnvironmentOf(s.origin.Environment)], a.bridge.limits.TopicsPerApp
	l.lock()
	defer l.unlock()
	if topic != "" && l.core.Line(topic) == nil && len(l.core.Lines()) >= most && !l.core.RemoveSpent() && s.line == nil {
		return fmt.Errorf("app %s: the client's certificate names a topic beyond the %d that are served at a time: "+
			"raise limits.topics_per_app", a.name, most)
	}
	s.lane, s.line = l, l.line(topic)
	s.line.Hold()
	return nil
}

// letGo undoes hold.
func (s *Session) letGo() {
	s.lane.lock()
	s.line.Release()
	s.lane.unlock()
}

// room reports whether the gateway may read on. If not, the client watches the session
// until it may. The caller holds the client's lock.
func (s *Session) room(now time.Time) bool {
	switch {
	case s.talk.Lingers():
		if s.mayLinger() {
			return true
		}
	case s.app.unread.Load():
	case !s.client.pace.Room(1, now):
		s.lane.counters.overRate.Add(1)
	case s.talk.Len() < s.bridge.limits.Window && s.app.account.Room():
		return true
	}
	if !s.parked {
		s.parked, s.since = true, now
	}
	s.client.watch(s)
	return false
}

// lookAfter is how long a window has to be full before it is searched for slow items. A
// busy provider's window is often full for moments, and nothing counts as slow any sooner.
const lookAfter = time.Second

// takeOverSlow clears a window that stays full of the items that APNs does not answer, as
// long as it answers others: one device must not stop the connection. The caller holds the
// client's lock.
func (s *Session) takeOverSlow(now time.Time) {
	if !s.parked || now.Sub(s.since) < lookAfter || s.talk.Lingers() || s.belowLowWater() {
		return
	}
	for _, l := range s.app.lanes {
		at := l.lock()
		s.talk.TakeOver(func(c conversation.Content) bool { return l.core.Slow(&c.(*notification).Item, at) }, now)
		l.mu.Unlock()
	}
}

// mayLinger reports whether a session may be read on behind its error packet. The
// provider's resends wait until the connection has been read to its end, so only a lack
// of memory stops it.
func (s *Session) mayLinger() bool {
	a := s.app
	return a.account.Room() || s.bridge.spool != nil && a.account.Spare()
}

// canResume reports whether a session that stopped reading may read on. The caller holds
// the client's lock.
func (s *Session) canResume() bool {
	if s.talk.Lingers() {
		return s.mayLinger()
	}
	if s.app.unread.Load() || !s.belowLowWater() || !s.client.pace.Room(1, s.bridge.now()) {
		return false
	}
	return s.app.account.Plenty() || !s.app.account.Park(waiting{s})
}

// belowLowWater reports whether the window is empty enough for reading to begin again.
func (s *Session) belowLowWater() bool {
	return int64(s.talk.Len()) <= budget.LowWater(int64(s.bridge.limits.Window))
}

// waiting is a session that waits for bytes.
type waiting struct{ *Session }

func (w waiting) Account() *budget.Account { return w.app.account }

// Resume asks the gateway to read on if there is room.
func (w waiting) Resume() { w.lookAgain() }

// lookAgain asks the gateway to read on, if it may.
func (s *Session) lookAgain() { s.client.during(func(time.Time) { s.client.touch(s) }) }

// settled says how the delivery of n has ended. The caller must not touch n afterwards.
func (s *Session) settled(n *notification, o conversation.Outcome, now time.Time) {
	c := s.client
	c.mu.Lock()
	switch {
	case !s.talk.Settled(n.seq):
		s.talk.Settle(n.seq, o, now)
	case o == conversation.Expired || o == conversation.Dropped: // it was taken over, and in vain
		s.talk.Undelivered(n, n.identifier, now)
	}
	c.drop(n)
	c.touch(s)
	c.carryOut()
	s.bridge.settled(1)
}

// release lets the notification at seq leave the window before its delivery has
// ended: the bridge answers for it from now on.
func (s *Session) release(seq conversation.Seq) {
	s.client.during(func(now time.Time) {
		if !s.talk.Settled(seq) {
			s.talk.Settle(seq, conversation.Spooled, now)
			s.client.touch(s)
		}
	})
}

// refused says that APNs has refused n with the reason why, for which its provider is to be
// told status. If n was taken over, there is no provider to tell.
func (s *Session) refused(n *notification, status binproto.Status, why string) (told bool) {
	s.client.during(func(now time.Time) {
		if told = !s.talk.Settled(n.seq); told {
			s.talk.Refuse(n.seq, status, why, now)
			s.client.touch(s)
		}
	})
	return told
}
