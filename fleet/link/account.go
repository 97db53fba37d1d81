package link

import "fmt"

// account counts, at the entry, what is under way on a link. It is pure: no lock, no clock,
// no I/O.
//
// An app may always have its own part under way; beyond that it takes from a common part. So
// an app whose owner does not take what it is sent stops only itself.
type account struct {
	own    int64 // bytes that each app may always have under way
	common int64 // total bytes under way up to which an app may have more than that

	total  int64
	shares map[string]*share
	wait   []*share // shares with parked sessions
}

// An app's own part of a link's bytes, and the common part, as divisors.
const (
	ownParts    = 64
	commonParts = 2
)

func newAccount(bytes int64) *account {
	return &account{own: bytes / ownParts, common: bytes / commonParts, shares: make(map[string]*share)}
}

// share is what one app has under way.
type share struct {
	app      string
	bytes    int64
	sessions int
	parked   []*window // in the order in which they were told that there was no room
}

// window is what one session has under way.
type window struct {
	share         *share
	notifications int
	bytes         int
	full          bool     // it was told that there is no room
	waiting       bool     // it is in its share's parked
	session       *carried // that it belongs to
}

// enter adds a session of an app.
func (a *account) enter(app string) *window {
	s := a.shares[app]
	if s == nil {
		s = &share{app: app}
		a.shares[app] = s
	}
	s.sessions++
	return &window{share: s}
}

// leave removes a session and everything that it has under way.
func (a *account) leave(w *window) {
	s := w.share
	a.total -= int64(w.bytes)
	s.bytes -= int64(w.bytes)
	w.notifications, w.bytes, w.full = 0, 0, false
	if s.sessions--; s.sessions == 0 {
		delete(a.shares, s.app)
	}
}

// open reports whether the session has credit for one more notification of any size.
func (w *window) open() bool { return w.notifications < windowNotifications && w.bytes < windowBytes }

// take counts a notification that is sent.
func (a *account) take(w *window, bytes int) {
	w.notifications++
	w.bytes += bytes
	w.share.bytes += int64(bytes)
	a.total += int64(bytes)
}

// roomy reports whether the app may have more under way.
func (a *account) roomy(s *share) bool { return s.bytes < a.own || a.total < a.common }

// room reports whether to go on reading the session. If not, it is parked until a credit
// makes room and resume passes it to fn.
func (a *account) room(w *window) bool {
	if w.open() && a.roomy(w.share) {
		return true
	}
	w.full = true
	if !w.waiting {
		w.waiting = true
		if len(w.share.parked) == 0 {
			a.wait = append(a.wait, w.share)
		}
		w.share.parked = append(w.share.parked, w)
	}
	return false
}

// credit counts what the owner's session has taken.
func (a *account) credit(w *window, notifications, bytes int) error {
	if notifications > w.notifications || bytes > w.bytes {
		return fmt.Errorf("link: credit for %d notifications of %d bytes; %d of %d are under way", notifications,
			bytes, w.notifications, w.bytes)
	}
	w.notifications -= notifications
	w.bytes -= bytes
	w.share.bytes -= int64(bytes)
	a.total -= int64(bytes)
	return nil
}

// resume calls fn for the parked sessions that have room again, app by app, in the order in
// which they were parked.
func (a *account) resume(fn func(*window)) {
	for range len(a.wait) {
		s := a.wait[0]
		a.wait = a.wait[1:]
		for range len(s.parked) {
			if !a.roomy(s) {
				break
			}
			w := s.parked[0]
			s.parked = s.parked[1:]
			switch {
			case !w.full: // it has left
				w.waiting = false
			case w.notifications <= windowNotifications/2 && w.bytes <= windowBytes/2:
				w.full, w.waiting = false, false
				fn(w)
			default:
				s.parked = append(s.parked, w)
			}
		}
		if len(s.parked) > 0 {
			a.wait = append(a.wait, s)
		}
	}
}
