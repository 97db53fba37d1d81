package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"apnsbridge/bridge/h2conn"
)

// tend opens and leaves connections as is needed, and says when to do so again;
// 0 for not before something happens.
func (u *Upstream) tend(now time.Time) (wait time.Duration) {
	var drain []*h2conn.Conn
	u.mu.Lock()
	over := u.retired && u.empty() && u.counts.inFlight == 0
	if over {
		u.leaveAll()
	}
	var count [connStates]int
	for _, c := range u.all {
		count[c.state]++
		if c.state == draining && !c.drained {
			c.drained = true
			drain = append(drain, c.conn)
		}
	}
	switch {
	case !over || len(u.all) > 0:
		u.idleSince = time.Time{}
	case u.idleSince.IsZero():
		u.idleSince = u.now()
	}
	fresh := u.wantsFresh()
	open, wait := u.dials.next(now, count, &u.queue, fresh)
	if open {
		u.counts.dials++
		c := &connection{upstream: u, serial: u.counts.dials, forFresh: fresh}
		u.all = append(u.all, c)
		u.wg.Go(c.live)
	}
	u.mu.Unlock()
	for _, c := range drain {
		c.Drain()
	}
	return wait
}

// empty reports whether nothing waits for a place. u.mu is held.
func (u *Upstream) empty() bool { return u.queue.empty() && u.fresh.empty() }

// wantsFresh reports whether a push waits for a connection newer than all there
// are. u.mu is held.
func (u *Upstream) wantsFresh() bool {
	first := u.fresh.first()
	return first != nil && !slices.ContainsFunc(u.all, func(c *connection) bool {
		return c.state != draining && c.serial > first.after
	})
}

// move brings c to a later state. u.mu is held.
func (u *Upstream) move(c *connection, to connState) {
	c.state = to
	u.inUse = nil
	for _, c := range u.all {
		if c.state == serving || c.state == aging {
			u.inUse = append(u.inUse, c)
		}
	}
}

// leaveAll gives no more requests to the connections in use. u.mu is held.
func (u *Upstream) leaveAll() {
	for _, c := range u.inUse {
		u.move(c, draining)
	}
}

// maxVain is how many connections in a row may end without an answer. After
// that there is no connection to APNs, whatever can be dialled.
const maxVain = 5

// leave gives no more requests to c. With a class, why is what the server did that
// ended its use; without one it is our doing. It reports whether that was one
// connection too many that has brought no answer, with none in use that has: then
// what waits must not wait any longer.
//
// A server error may be of the push and not of the connection: the only one serves
// until there is another, or a few that always fail would hold up all others. So does
// one that does not look at a push, while others are accepted and another connection
// would have to be waited for.
func (u *Upstream) leave(c *connection, why Verdict) (hopeless bool) {
	var failed, fresh []*Push
	u.mu.Lock()
	replace := why.leave && (why.Class == ServerError ||
		why.Class == Unprocessed && u.trust > 0 && u.dials.backsOff())
	switch {
	case replace:
		u.replace(c)
	case c.state < draining:
		u.move(c, draining)
	}
	again := c.counted // a GOAWAY, and then the end: what has come between them has the next connection
	if why.Class != 0 && c.conn != nil && !c.counted && u.countEnd(c) && !replace {
		c.again = why
	}
	vain := u.vain
	hopeless = !c.isUseful() && vain >= maxVain && !slices.ContainsFunc(u.inUse, (*connection).isUseful)
	if hopeless && !again && len(u.inUse) == 0 {
		failed, fresh = u.queue.takeAll(), u.fresh.takeAll()
	}
	u.mu.Unlock()
	u.rouse()
	if replace { // another address may be better
		u.target.avoid(c.address, time.Now())
	}
	if why.Class == Unprocessed {
		why.Class = NoConnection
	}
	if len(failed)+len(fresh) > 0 {
		why.Remedy = u.inVain(why)
		why.Reason = fmt.Sprintf("%d connections in a row ended without an answer, the last with: %s", vain, why.Reason)
	}
	u.fail(failed, why)
	u.fail(fresh, why)
	return hopeless
}

const (
	fewAnswers = 16          // a connection that the server ends should have brought
	soonOver   = time.Minute // unless it has lasted
)

// countEnd tells the dialPolicy how the server has ended c. It reports whether
// connections end soon again and again, though they bring answers. u.mu is held.
func (u *Upstream) countEnd(c *connection) (again bool) {
	now := u.now()
	switch {
	case !c.isUseful() && (c.asked.Load() || !u.empty()):
		u.vain++
		u.dials.failed(now)
	case !c.isUseful():
		return false // it was not needed
	case now.Sub(c.opened) >= soonOver:
		u.dials.useful()
	case c.answers < fewAnswers:
		again = u.dials.endedSoon(now)
	}
	c.counted = true
	return again
}

// heard takes note of what a burst says of c, and decides about a doubtful one.
func (u *Upstream) heard(c *connection, b *burst) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if b.answers > 0 {
		u.vain = 0
		if c.answers < fewAnswers && c.answers+b.answers >= fewAnswers {
			u.dials.useful()
		}
		c.answers += b.answers
	}
	c.proven, u.takes = c.proven || b.accepted, u.takes || b.accepted
	if b.accepted {
		u.trust = maxUnlooked
	}
	u.trust = max(0, u.trust-b.unlooked)
	if b.doubtful.Class != 0 { // a few that no connection looks at must not cost the others theirs
		if !u.takes && b.left.Class == 0 {
			b.left = b.doubtful
		}
		u.takes = false
	}
	if b.fresh {
		// What c takes, those before it may refuse for ever.
		u.dials.freshAccepted()
		for _, old := range u.inUse {
			if old.serial < c.serial {
				u.move(old, draining)
			}
		}
		u.rouse()
	}
}

// opened puts c to use, instead of connections that are aging. One that was
// dialled as it was, for a push that wants a new one, and has taken none takes its
// place.
func (u *Upstream) opened(c *connection, conn *h2conn.Conn, address netip.AddrPort) {
	u.mu.Lock()
	c.conn, c.address, c.opened = conn, address, u.now()
	u.dials.opened(u.now())
	for _, old := range u.inUse {
		if old.state == aging || c.forFresh && old.forFresh && !old.proven {
			u.move(old, draining)
		}
	}
	if c.state == connecting { // else it was soon left
		u.move(c, serving)
	}
	if oldest := u.oldest(); len(u.inUse) > u.limits.Connections && oldest != c {
		u.move(oldest, draining)
	}
	u.mu.Unlock()
	u.rouse()
}

func (u *Upstream) oldest() *connection {
	return slices.MinFunc(u.inUse, func(a, b *connection) int { return cmp.Compare(a.serial, b.serial) })
}

// lost takes note that c could not be opened. If it would have been the only one,
// what waits must not wait any longer: its owner's bytes are bounded. Nor must
// what waits for a new one.
func (u *Upstream) lost(c *connection, err error) {
	var failed []*Push
	u.mu.Lock()
	u.dials.failed(u.now())
	u.counts.dialFailures++
	var away *h2conn.GoAway
	if errors.As(err, &away) {
		u.counts.goAways++
	}
	alone := len(u.inUse) == 0
	if alone {
		failed = u.queue.takeAll()
	}
	fresh := u.fresh.takeAll()
	u.mu.Unlock()
	u.forget(c)
	if u.ctx.Err() == nil && !alone {
		u.log.Warn().Err(Plain(err)).Msg("another connection to APNs cannot be opened")
	}
	v, trouble := judgeEnd(err)
	if v.Class == NoConnection {
		if v.Reason = Plain(err).Error(); u.target.unusable == nil {
			v.Remedy = adviceOn(err)
		}
	}
	if trouble && u.ctx.Err() == nil {
		u.tell(v)
	}
	u.fail(failed, v)
	u.fail(fresh, v)
}

// tell passes on what is said of more than one push.
func (u *Upstream) tell(v Verdict) {
	if u.trouble != nil {
		u.trouble(v)
	}
}

// forget drops a connection of which nothing runs any more.
func (u *Upstream) forget(c *connection) {
	u.mu.Lock()
	again := c.again
	u.move(c, draining)
	for i, other := range u.all {
		if other == c {
			u.all[i] = u.all[len(u.all)-1]
			u.all = u.all[:len(u.all)-1]
			break
		}
	}
	u.mu.Unlock()
	if again.Class != 0 && u.ctx.Err() == nil { // behind the answers that it still brought
		u.tell(Verdict{Class: Unprocessed, Code: again.Code, Remedy: remedyVain,
			Reason: "connections end behind a few answers, the last with: " + again.Reason})
	}
	u.rouse()
}

// age ends the time of c.
func (u *Upstream) age(c *connection) {
	u.mu.Lock()
	if c.state == serving {
		u.counts.rotations++
		u.replace(c)
	}
	u.mu.Unlock()
	u.rouse()
}

// replace gives no more requests to c once there is another connection. u.mu is held.
func (u *Upstream) replace(c *connection) {
	if c.state != serving {
		return
	}
	if u.move(c, aging); len(u.inUse) > 1 {
		u.move(c, draining)
	}
}
