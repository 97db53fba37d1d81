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
// Verdicts come from any goroutine.
type Session struct {
	bridge *Bridge
	app    *app
	client *client
	peer   Peer
	origin Origin
	opened time.Time
	number uint64 // of all sessions, for traces

	// Of Push alone.
	route *route
	rule  pushtype.Rule
	lane  *appLane
	line  *lane.Line

	// Under the client's lock.
	talk    *conversation.Conn
	parked  bool      // the gateway was told that there is no room
	since   time.Time // it is parked
	waited  time.Time // until when it was, when pauses was last asked
	gone    bool      // the connection is
	touched bool      // on the client's list of that name
}

// Push takes a notification and reports whether there is room for another. n and
// what it points to are borrowed until it returns. When there was no room,
// Peer.Resume follows, perhaps before Push has returned.
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
		// Still under the lock: what an episode remembers is on its way to disk.
		decided = s.lane.arrive(n, now)
	}
	room = s.room(now)
	c.carryOut()
	s.lane.perform(decided)
	return room
}

// Reject takes a frame that was refused at parsing, in its place. n is borrowed
// as in Push.
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
// and a failure among it is still reported. heard says that it has an error
// packet already.
func (s *Session) Shutdown(heard bool) {
	s.client.during(func(now time.Time) { s.talk.Ended(heard, now) })
}

// ReadOn says that the provider has ended its side behind what is still unread:
// the window does not stop that from being read.
func (s *Session) ReadOn() {
	s.client.during(func(time.Time) {
		s.talk.ReadOn()
		s.client.touch(s)
	})
}

// Close says that the connection is gone. What was taken is delivered all the
// same. err is nil if both sides came to their end in order, and what we had
// written was acknowledged.
func (s *Session) Close(err error) {
	s.client.during(func(now time.Time) {
		s.gone, s.parked = true, false
		s.client.watch(s)
		s.talk.Closed(err == nil, now)
	})
}

// End lets the session come to its end, because the bridge does or its app is not
// configured any more: the provider is told with status 10 where something may be
// lost otherwise, and what it has written until it ends the connection is still
// delivered. It may be called from any goroutine and more than once.
func (s *Session) End() {
	s.client.during(func(now time.Time) { s.talk.Shutdown(now) })
}

// Resending is what is known of providers that write such frames as this session's: what
// they do behind an error packet. It may be called from any goroutine.
func (s *Session) Resending(command binproto.Command, layout binproto.Layout) conversation.Resending {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.talk.Resending(command, layout, s.bridge.now())
}

// address fills in what APNs is asked for, and by which way.
func (s *Session) address(n *notification, frame *binproto.Notification, now time.Time) {
	if route := s.app.route.Load(); route != s.route {
		s.route, s.rule = route, pushtype.NewRule(route.app.PushType, route.app.TopicOf(s.origin.Topic))
		s.letGo()
		s.hold(route) // which refuses only a new session
	}
	n.Line = s.line
	q := &n.Request
	q.ID = upstream.NewUUID()
	s.app.expireAt(n, frame.Expiry, frame.HasExpiry, now)
	q.PushType, q.Priority = s.rule.Choose(frame.Payload, frame.PushPriority())
}

// hold finds or makes the line of what comes to the session by route, and holds it. A
// line costs memory as long as there is something in it or to remember of it: when
// there are too many, those go of which there is nothing.
func (s *Session) hold(route *route) error {
	a, topic := s.app, ""
	if route.app.Topic == "" { // else it is looked up when they are sent
		topic = s.origin.Topic
	}
	l, most := route.lanes[route.app.EnvironmentOf(s.origin.Environment)], a.bridge.limits.TopicsPerApp
	l.lock()
	defer l.unlock()
	if topic != "" && l.core.Line(topic) == nil && len(l.core.Lines()) >= most && !l.core.RemoveSpent() && s.line == nil {
		return fmt.Errorf("app %s: the client's certificate names one topic more than the %d that are served at a time: "+
			"raise limits.topics_per_app", a.name, most)
	}
	s.lane, s.line = l, l.line(topic)
	s.line.Hold()
	return nil
}

// letGo takes back hold.
func (s *Session) letGo() {
	s.lane.lock()
	s.line.Release()
	s.lane.unlock()
}

// room reports whether the gateway may read on. If not, the client looks after the
// session until it may. The client's lock is held.
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

// lookAfter is how long a window is full before it is looked through. Those of a busy
// provider are for moments, and nothing is slow any sooner.
const lookAfter = time.Second

// takeOverSlow takes what APNs does not answer out of a window that stays full, as long
// as it answers about others: one device must not stop the connection. The client's
// lock is held.
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

// mayLinger reports whether a session is read on behind its error packet: its
// provider's resends wait until it has been read to its end, so that only memory
// stops it.
func (s *Session) mayLinger() bool {
	a := s.app
	return a.account.Room() || s.bridge.spool != nil && a.account.Spare()
}

// canResume reports whether a session that stopped reading may read on. The
// client's lock is held.
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

// lookAgain has the gateway asked to read on, if it may.
func (s *Session) lookAgain() { s.client.during(func(time.Time) { s.client.touch(s) }) }

// settled says how the delivery of n ended now. It must not be touched afterwards.
func (s *Session) settled(n *notification, o conversation.Outcome, now time.Time) {
	c := s.client
	c.mu.Lock()
	if !s.talk.Settled(n.seq) { // otherwise it was taken over
		s.talk.Settle(n.seq, o, now)
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

// refused says that APNs refuses n with the word why, for which its provider is to
// know status. If it was taken over there is no one to tell.
func (s *Session) refused(n *notification, status binproto.Status, why string) (told bool) {
	s.client.during(func(now time.Time) {
		if told = !s.talk.Settled(n.seq); told {
			s.talk.Refuse(n.seq, status, why, now)
			s.client.touch(s)
		}
	})
	return told
}
