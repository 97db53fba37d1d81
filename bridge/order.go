package bridge

import "apnsbridge/binproto"

// telling is what a step of the window leads to. It is done when the session's
// lock is free, for the peer and other sessions may call back.
type telling struct {
	response binproto.Response
	fail     bool
	close    bool
	resume   bool
	over     bool // the connection is gone and the window empty
	freed    int64
	bytes    int64
}

// advance lets all settled notifications at the head of the window leave, and
// decides what the peer is told. s.mu is held.
func (s *Session) advance() (t telling) {
	for {
		r, status, ok := s.window.Next()
		if !ok {
			break
		}
		if status != binproto.NoError && s.failed(r, status, &t) {
			continue
		}
		t.freed++
		t.bytes += r.size()
		r.release()
	}
	if s.window.Len() == 0 {
		if s.ending && !s.told && !s.gone {
			s.told, t.close = true, true
		}
		if s.gone {
			t.over = true
		}
	}
	if s.parked && s.hasRoom() {
		s.parked, t.resume = false, true
	}
	return t
}

// failed reports the failure of r, which has left the window, if it is the one
// to be reported. kept says that the feedback writer has r now.
func (s *Session) failed(r *record, status binproto.Status, t *telling) (kept bool) {
	if !s.silent(r, status) {
		s.tail.begin()
		s.told, t.fail = true, true
		t.response = binproto.Response{Status: status, Identifier: r.identifier}
		s.app.counters.reported.Add(1)
		return false
	}
	s.app.counters.untold.Add(1)
	if status != binproto.InvalidToken {
		return false
	}
	r.left = true
	s.bridge.feedback.dead(r, r.sent)
	return true
}

// hasRoom says whether a session that stopped reading may read on. s.mu is
// held.
func (s *Session) hasRoom() bool {
	if s.gone || s.ending && !s.told || int64(s.window.Len()) > lowWater(int64(s.bridge.limits.Window)) {
		return false
	}
	return s.app.account.plenty() || !s.app.account.park(s)
}

// tell does what advance decided.
func (s *Session) tell(t telling) {
	switch {
	case t.fail:
		s.bridge.log.Info().Str("app", s.app.name).Str("client", s.origin.Client).Stringer("address", s.origin.Address).
			Uint8("status", uint8(t.response.Status)).Uint32("identifier", t.response.Identifier).Msg("refused")
		s.peer.Fail(t.response.Status, t.response.Identifier)
	case t.close:
		s.peer.Close()
	}
	if t.resume {
		s.peer.Resume()
	}
	if t.over {
		s.bridge.forget(s)
	}
	if t.freed > 0 {
		s.app.account.give(t.bytes)
		s.bridge.settled(t.freed)
	}
}

// free gives back a record that left the window before it was through.
func (s *Session) free(r *record) {
	t := telling{freed: 1, bytes: r.size()}
	r.release()
	s.tell(t)
}
