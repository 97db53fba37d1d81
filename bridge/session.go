package bridge

import (
	"net/netip"
	"sync"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
)

// Origin says whose connection a session is.
type Origin struct {
	App         string      // the name of a configured app
	Client      string      // who speaks for it, for the log
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
	peer   Peer
	origin Origin

	// Of Push alone.
	route *route
	topic string
	rule  typeRule

	tail tail

	mu     sync.Mutex
	window conversation.Window[*record]
	parked bool // Push has said that there is no room
	ending bool // the provider or the bridge has ended: say so when all is settled
	told   bool // Fail or Close was called: nothing more can be told
	gone   bool // the connection is
}

// Push takes a notification and says whether there is room for another. n and
// what it points to are borrowed until it returns. When there was no room,
// Peer.Resume follows, perhaps before Push has returned.
func (s *Session) Push(n *binproto.Notification) (room bool) {
	s.app.counters.taken.Add(1)
	s.app.counters.skippedItems.Add(uint64(n.Skipped))
	if !s.tail.takes() {
		s.app.counters.droppedBehind.Add(1)
		return true
	}
	r := newRecord(s, n)
	s.address(r, n)
	s.app.account.add(r.size())
	room = s.take(r)
	s.app.deliver(r)
	if room && !s.app.account.room() {
		s.park()
		room = false
	}
	return room
}

// Reject takes a frame that was refused at parsing, in its place. n is borrowed
// as in Push.
func (s *Session) Reject(n *binproto.Notification, status binproto.Status) (room bool) {
	s.app.counters.malformed.Add(1)
	s.app.counters.skippedItems.Add(uint64(n.Skipped))
	r := newRecord(s, n)
	s.app.account.add(r.size())
	room = s.take(r)
	s.settled(r, status)
	return room
}

// Shutdown says that the provider has ended its side. What it sent is delivered,
// and a failure among it is still reported. heard says that it has an error
// packet already.
func (s *Session) Shutdown(heard bool) {
	s.mu.Lock()
	s.ending = true
	t := s.advance()
	s.mu.Unlock()
	s.tell(t)
}

// Close says that the connection is gone. What was taken is delivered all the
// same.
func (s *Session) Close(err error) {
	s.mu.Lock()
	s.gone, s.parked = true, false
	t := s.advance()
	s.mu.Unlock()
	s.tell(t)
}

// end lets the session come to its end because the bridge does: it reads no
// further, and ends when all is settled.
func (s *Session) end() { s.Shutdown(false) }

// address fills in what APNs is asked for.
func (s *Session) address(r *record, n *binproto.Notification) {
	if route := s.app.route.Load(); route != s.route {
		s.route, s.topic = route, route.app.topicFor(s.origin)
		s.rule = newTypeRule(route.app.PushType, s.topic)
	}
	q := &r.request
	q.id = newUUID()
	q.topic = s.topic
	q.expiration, r.expires = expiration(n, s.bridge.now())
	q.pushType, q.priority = s.rule.choose(n.Payload, n.PushPriority())
}

// take gives r its place in the window.
func (s *Session) take(r *record) (room bool) {
	s.bridge.unsettled.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.seq = s.window.Take(r)
	// A session that is ending reads no further, so that it comes to an end;
	// once that is told, what is still on its way is read and delivered.
	room = s.window.Len() < s.bridge.limits.Window && (!s.ending || s.told)
	if !room {
		s.parked = true
	}
	return room
}

// park stops reading until there are bytes enough again.
func (s *Session) park() {
	s.mu.Lock()
	s.parked = true
	s.mu.Unlock()
	s.resume()
}

// resume asks the gateway to read on if there is room.
func (s *Session) resume() {
	s.mu.Lock()
	t := s.advance()
	s.mu.Unlock()
	s.tell(t)
}

// settled gives the verdict on r: NoError, or the status for which it is
// refused.
func (s *Session) settled(r *record, status binproto.Status) {
	s.mu.Lock()
	s.window.Settle(r.seq, status)
	t := s.advance()
	s.mu.Unlock()
	s.tell(t)
}

// refused gives the verdict on r, a token APNs does not know. If nobody can be
// told, feedback takes it, and it settles when it is recorded.
func (s *Session) refused(r *record, status binproto.Status) {
	s.mu.Lock()
	silent := s.silent(r, status)
	s.mu.Unlock()
	if silent {
		s.app.counters.untold.Add(1)
		s.bridge.feedback.dead(r, r.sent)
		return
	}
	s.settled(r, status)
}

// recorded says that the feedback list has the device of r.
func (s *Session) recorded(r *record) {
	if r.left {
		s.free(r)
		return
	}
	s.settled(r, binproto.NoError)
}

// silent says that the provider will not be told of the failure of r.
func (s *Session) silent(r *record, status binproto.Status) bool {
	return s.told || s.gone || !r.hasIdentifier ||
		status == binproto.InvalidToken && s.app.route.Load().app.continues(s.origin)
}
