package bridge

import (
	"net/netip"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/pushtype"
	"apnsbridge/bridge/upstream"
)

// Origin says whose connection a session is.
type Origin struct {
	App         string      // the name of a configured app
	Client      string      // who speaks for it: what it sends again is recognised over all its connections
	Address     netip.Addr  // where from
	Topic       string      // of the client's certificate, for apps that have none set
	Environment Environment // of the port or the name asked for, for apps ByListener
}

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

	// Of Push alone.
	route *route
	topic string
	rule  pushtype.Rule
	queue Environment // of the spool

	// Under the client's lock.
	talk    *conversation.Conn
	parked  bool // the gateway was told that there is no room
	gone    bool // the connection is
	touched bool // on the client's list of that name
}

// Push takes a notification and says whether there is room for another. n and
// what it points to are borrowed until it returns. When there was no room,
// Peer.Resume follows, perhaps before Push has returned.
func (s *Session) Push(n *binproto.Notification) (room bool) {
	s.app.counters.taken.Add(1)
	s.app.counters.skippedItems.Add(uint64(n.Skipped))
	now := s.bridge.now()
	r := newRecord(s, n)
	s.address(r, n, now)
	s.app.account.add(r.size())

	c := s.client
	c.mu.Lock()
	r.holders = 1
	c.pace.take(now)
	r.late = s.spills() && !s.app.account.room()
	var forward bool
	r.seq, forward = s.talk.Take(r, conversation.FrameOf(n), now)
	if forward {
		r.holders++
		s.bridge.unsettled.Add(1)
		// Still under the lock: what an episode remembers is on its way to disk.
		forward = !s.app.shelf.commits(r)
	}
	room = s.room(now)
	c.carryOut()
	if forward {
		s.app.forward(r)
	}
	return room
}

// Reject takes a frame that was refused at parsing, in its place. n is borrowed
// as in Push.
func (s *Session) Reject(n *binproto.Notification, status binproto.Status) (room bool) {
	s.app.counters.malformed.Add(1)
	s.app.counters.skippedItems.Add(uint64(n.Skipped))
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

// end lets the session come to its end because the bridge does, or its app is
// gone: with a packet of status 10 where something may be lost otherwise.
func (s *Session) end() {
	s.client.during(func(now time.Time) { s.talk.Shutdown(now) })
}

// address fills in what APNs is asked for.
func (s *Session) address(r *record, n *binproto.Notification, now time.Time) {
	if route := s.app.route.Load(); route != s.route {
		s.route, s.topic = route, route.app.topicFor(s.origin)
		s.rule = pushtype.NewRule(route.app.PushType, s.topic)
		s.queue = route.environment(s.origin.Environment)
	}
	r.end = s.queue
	q := &r.Request
	q.ID = upstream.NewUUID()
	q.Topic = s.topic
	s.app.expireAt(r, n.Expiry, n.HasExpiry, now)
	q.PushType, q.Priority = s.rule.Choose(n.Payload, n.PushPriority())
}

// room says whether the gateway may read on. If not, the client looks after the
// session until it may. The client's lock is held.
func (s *Session) room(now time.Time) bool {
	switch {
	case s.talk.Lingers():
		return true
	case !s.client.pace.room(now):
		s.app.counters.overRate.Add(1)
	case s.talk.Len() < s.bridge.limits.Window && (s.app.account.room() || s.spills()):
		return true
	}
	s.parked = true
	s.client.watch(s)
	return false
}

// A session is read on though memory is full while it has few notifications in its
// window, which are in memory as long as the first has no verdict, and little of
// the app is on its way to disk.
const (
	spillWindow = 64
	spillBytes  = 1 << 20
)

// spills says whether what comes goes to disk where there is no memory for it.
// Behind an error packet it does so at once, for then reading never stops.
func (s *Session) spills() bool {
	a := s.app
	return a.shelf != nil && (s.talk.Lingers() ||
		a.account.spill.Load() && s.talk.Len() < spillWindow && a.shelf.unwritten.Load() < spillBytes)
}

// canResume says whether a session that stopped reading may read on. The
// client's lock is held.
func (s *Session) canResume() bool {
	if s.talk.Lingers() {
		return true
	}
	if int64(s.talk.Len()) > lowWater(int64(s.bridge.limits.Window)) || !s.client.pace.room(s.bridge.now()) {
		return false
	}
	return s.app.account.plenty() || s.spills() || !s.app.account.park(s)
}

// resume asks the gateway to read on if there is room.
func (s *Session) resume() {
	s.client.during(func(time.Time) { s.client.touch(s) })
}

// settled says how the delivery of r ended. Nobody touches r afterwards.
func (s *Session) settled(r *record, o conversation.Outcome) {
	s.client.during(func(now time.Time) {
		if !s.talk.Settled(r.seq) { // otherwise it was taken over
			s.talk.Settle(r.seq, o, now)
		}
		s.client.drop(r)
		s.client.touch(s)
	})
	s.bridge.settled(1)
}

// release lets r leave the window before its delivery has ended: the bridge
// answers for it from now on.
func (s *Session) release(r *record) {
	s.client.during(func(now time.Time) {
		if !s.talk.Settled(r.seq) {
			s.talk.Settle(r.seq, conversation.Spooled, now)
			s.client.touch(s)
		}
	})
}

// refused says that APNs refuses r, for which its provider is to know status. If
// r was taken over there is nobody to tell.
func (s *Session) refused(r *record, status binproto.Status) (told bool) {
	s.client.during(func(now time.Time) {
		if told = !s.talk.Settled(r.seq); told {
			s.talk.Refuse(r.seq, status, now)
			s.client.touch(s)
		}
	})
	return told
}
