package h2conn

import "time"

// refill decides when it is worth a call of Config.Room. Refilling in pieces
// makes large writes, but where most streams wait for slow answers there are no
// large pieces to be had: what came last time is enough for the next, and after a
// moment whatever there is.
type refill struct {
	wanted bool  // a caller was told ErrNoRoom, or waits for the opening
	piece  int   // of streams, that is worth a call
	since  int64 // when there began to be less than that, 0 if there is none
	barren int64 // when there began to be no room with nothing for the server to do, 0 if it is not so
}

const (
	maxPiece    = 16                      // more makes writes no cheaper
	refillAfter = int64(time.Millisecond) // the wait for a piece
)

// roomAgain reports whether Config.Room is called now, and counts on it. If it is
// not, it is to be asked again at next.
func (m *machine) roomAgain(now int64) (call bool, next int64) {
	r := &m.refill
	room := m.room()
	if !r.wanted || m.state != Open || room == 0 {
		r.since = 0
		return false, never
	}
	if room < min(r.piece, max(1, m.limit()/2)) {
		if r.since == 0 {
			r.since = now
		}
		if next = r.since + refillAfter; now < next {
			return false, next
		}
	}
	*r = refill{piece: min(room, maxPiece)}
	return true, never
}

// checkRoom leaves a connection on which nothing can be sent although the server
// has nothing to do: it never gives its window back, or allows no streams. What
// was not written whole can be sent again elsewhere. It returns when it wants to
// be asked again.
func (m *machine) checkRoom(now int64) (next int64) {
	r := &m.refill
	if m.state != Open || !r.wanted && m.open == 0 || m.room() > 0 || !m.allBlocked() {
		r.barren = 0
		return never
	}
	if r.barren == 0 {
		r.barren = now
	}
	if next = r.barren + int64(m.cfg.PingTimeout); now < next {
		return next
	}
	m.drain(ErrBarren)
	m.all(func(s *slot) { m.cancel(s, Unprocessed, ErrBarren) })
	return never
}

// allBlocked reports whether every request under way waits for a window with a part
// of its body, and the connection's is shut.
func (m *machine) allBlocked() bool {
	blocked := m.open == 0 || m.flow.window <= 0
	if blocked {
		m.all(func(s *slot) { blocked = blocked && s.sent < len(s.req.Body) && s.resp == nil })
	}
	return blocked
}
