package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/ledgerlog"
)

const (
	losePatience = 5 * time.Second // until all that was being put into what is shared was put there, or not

	// toldQuiet is how long a provider that was told of a failure has to write nothing to be
	// taken for one that never ends the connection.
	toldQuiet = 5 * time.Second

	loosePatience = time.Second // until APNs has answered what it was asked

	giveStep = 5 * time.Millisecond // between two looks at whether that is so
)

// Give lets go of an app for another process. No session of it is opened from now on.
// Those there are go without packets, and come to their end behind it. When what has no
// verdict is in the spool, or ctx ends, and what providers may send again is written,
// disown is called: from then on nothing is read of, or put into, what processes share.
//
// What comes behind a packet belongs to its record, and is lost to the next owner. So
// sessions whose providers were told of a failure and still write come to their end first,
// unless that takes half of ctx's time: what those send again will arrive twice. Others
// are not read meanwhile: what they wrote would have to be put into the spool as well, and
// the next owner waits for that.
func (b *Bridge) Give(ctx context.Context, name string, disown func()) error {
	a := b.appOf(name)
	if a == nil {
		return fmt.Errorf("no app %q is configured", name)
	}
	b.hold(a, away)
	a.unread.Store(true)
	if writing := b.awaitTold(ctx, a); writing > 0 {
		b.log.Warn().Str("app", name).Int("connections", writing).Msg("the app is given while providers " +
			"that were told of a failure still write: what they send again may arrive twice")
	}
	err := b.empty(ctx, a)
	log, stop := b.letGoOfLog(a)
	clients := b.clientsOf(a)
	records := recordsOf(clients, b.now())
	stop()
	if log.Replace(ctx, records) != nil && log.Failing() { // else each record was written when it came
		abandon(clients)
	}
	disown()
	// What was being put into what is shared must not come out of a lane again.
	err = errors.Join(err, b.written(ctx, a))
	b.fillAgain(a)
	b.readOn(a)
	b.leave(a)
	return err
}

// Lose lets go of an app that is another's by now. Nothing may be written for it any
// more; what is in memory is delivered, and what was read of what processes share is
// dropped once disown was called.
func (b *Bridge) Lose(name string, disown func()) {
	a := b.appOf(name)
	if a == nil {
		return
	}
	b.hold(a, away)
	log, stop := b.letGoOfLog(a)
	stop()
	if log.Failing() {
		abandon(b.clientsOf(a))
	}
	disown()
	a.during(func(l *appLane, now lane.Now) { l.core.Stop(now) })
	ctx, cancel := context.WithTimeout(b.ctx, losePatience)
	defer cancel()
	_ = b.written(ctx, a) // what is not stays in memory
	b.fillAgain(a)
	b.leave(a)
}

// Unwritten reports whether something of what an app's providers may send again could not be
// written down, when that was tried last.
func (b *Bridge) Unwritten(name string) bool {
	a := b.appOf(name)
	return a != nil && a.log.Load().Failing()
}

// letGoOfLog has an app write nothing down any more. stop ends its log.
func (b *Bridge) letGoOfLog(a *app) (log *ledgerlog.Log, stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	log, stop = a.log.Swap(b.ledgerLog), func() {}
	if a.stopLog != nil {
		stop, a.stopLog = a.stopLog, nil
	}
	return log, stop
}

// readOn has the sessions of an app read again, which were not.
func (b *Bridge) readOn(a *app) {
	a.unread.Store(false)
	for _, s := range b.sessionsOf(a) {
		s.lookAgain()
	}
}

// leave has all sessions of an app come to their end.
func (b *Bridge) leave(a *app) {
	for _, s := range b.sessionsOf(a) {
		s.Leave(time.Minute)
	}
}

// awaitTold waits for the sessions of an app, which is hushed, that write on behind a
// packet, for half of ctx's time at most. It gives how many still do.
func (b *Bridge) awaitTold(ctx context.Context, a *app) (writing int) {
	ctx, cancel := context.WithTimeout(ctx, patienceOf(ctx))
	defer cancel()
	told := b.sessionsOf(a) // of which fewer are left with each look: no more are told
	wait(ctx, func() bool {
		told = slices.DeleteFunc(told, func(s *Session) (over bool) {
			s.client.during(func(now time.Time) {
				over = s.gone || !s.talk.Remembers() || s.pauses(toldQuiet, now)
			})
			return over
		})
		return len(told) == 0
	})
	return len(told)
}

// empty has all that waits in an app's lanes go to the spool.
func (b *Bridge) empty(ctx context.Context, a *app) error {
	a.during(func(l *appLane, now lane.Now) { l.core.Stop(now) })
	out := 0
	if !wait(ctx, func() bool { out = a.out(); return out == 0 }) {
		return fmt.Errorf("app %s: %d notifications are without a verdict: %w", a.name, out, ctx.Err())
	}
	return b.written(ctx, a)
}

// written waits until what an app's lanes have to write by now is in the spool.
func (b *Bridge) written(ctx context.Context, a *app) error {
	written := make(chan struct{})
	b.afterWritten(a.lanes[:], func() { close(written) })
	select {
	case <-written:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("app %s: the spool is not written: %w", a.name, ctx.Err())
	}
}

// fillAgain has an app's lanes deliver what still comes to them, if it is configured.
func (b *Bridge) fillAgain(a *app) {
	if _, err := b.configured(a.name); err != nil {
		return
	}
	a.during(func(l *appLane, now lane.Now) {
		l.takeUp()
		l.core.Start(now)
	})
}

// out is how many notifications are with APNs.
func (a *app) out() (n int) {
	for _, l := range a.lanes {
		l.mu.Lock()
		n += l.core.Out()
		l.mu.Unlock()
	}
	return n
}

// recordsOf are what clients may send again.
func recordsOf(clients []*client, now time.Time) (records []conversation.Record) {
	for _, c := range clients {
		c.mu.Lock()
		records = append(records, c.ledger.Records(now)...)
		c.mu.Unlock()
	}
	return records
}

// abandon lets go of what clients may send again, of which whoever comes next does not know.
// Bad tokens that are told of there alone go to the feedback list.
func abandon(clients []*client) {
	for _, c := range clients {
		c.during(func(time.Time) { c.ledger.Abandon() })
	}
}

// clientsOf are those of an app; all with nil.
func (b *Bridge) clientsOf(a *app) (clients []*client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.clients {
		if a == nil || c.app == a {
			clients = append(clients, c)
		}
	}
	return clients
}

// wait returns when a condition holds, which it reports, or ctx ends.
func wait(ctx context.Context, holds func() bool) bool {
	tick := time.NewTicker(giveStep)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
