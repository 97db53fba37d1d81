package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/drain"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/ledgerlog"
)

const (
	losePatience = 5 * time.Second // for writes to the shared store that are under way

	// toldQuiet is how long a provider that was told of a failure has to stay silent before
	// it is taken for one that never ends the connection.
	toldQuiet = 5 * time.Second

	loosePatience = time.Second // until APNs has answered what it was asked

	giveStep = 5 * time.Millisecond // between two checks of a condition
)

// Give hands an app over to another process. From now on no session of it is opened; those
// that are open send no packets any more, and end afterwards. Give waits until everything
// without a verdict is in the spool, or ctx ends, and until what providers may send again is
// recorded. Then it calls disown: from then on nothing is read from, or put into, what the
// processes share.
//
// Frames behind a packet belong to its record, and would be lost to the next owner. So
// sessions whose providers were told of a failure and still write end first, unless that
// takes more than half of ctx's time: what such a provider then sends again will arrive
// twice. Other sessions are not read meanwhile: their frames would have to go to the spool
// as well, while the next owner waits.
func (b *Bridge) Give(ctx context.Context, name string, disown func()) error {
	a := b.appOf(name)
	if a == nil {
		return fmt.Errorf("no app %q is configured", name)
	}
	b.hold(a, away)
	a.unread.Store(true)
	if writing := b.awaitTold(ctx, a); writing > 0 {
		b.log.Warn().Str("app", name).Int("connections", writing).Msg("the app is given away while providers " +
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
	// What was being written to the shared store must not come out of a lane again.
	err = errors.Join(err, b.written(ctx, a))
	b.fillAgain(a)
	b.readOn(a)
	b.leave(a)
	return err
}

// Lose lets go of an app that another process already owns. Nothing may be written for it
// any more. What is in memory is delivered; what was read from the shared store is dropped
// once disown was called.
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
	_ = b.written(ctx, a) // what is not written stays in memory
	b.fillAgain(a)
	b.leave(a)
}

// Unwritten reports whether the last attempt to record what an app's providers may send again
// has failed.
func (b *Bridge) Unwritten(name string) bool {
	a := b.appOf(name)
	return a != nil && a.log.Load().Failing()
}

// letGoOfLog detaches an app from its log, so that it records nothing more there. stop ends
// the log.
func (b *Bridge) letGoOfLog(a *app) (log *ledgerlog.Log, stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	log, stop = a.log.Swap(b.ledgerLog), func() {}
	if a.stopLog != nil {
		stop, a.stopLog = a.stopLog, nil
	}
	return log, stop
}

// readOn resumes reading an app's sessions.
func (b *Bridge) readOn(a *app) {
	a.unread.Store(false)
	for _, s := range b.sessionsOf(a) {
		s.lookAgain()
	}
}

// leave ends all sessions of an app.
func (b *Bridge) leave(a *app) {
	for _, s := range b.sessionsOf(a) {
		s.Leave(time.Minute)
	}
}

// awaitTold waits, for at most half of ctx's time, for the sessions of a hushed app whose
// providers go on writing behind a packet. It gives how many still do.
func (b *Bridge) awaitTold(ctx context.Context, a *app) (writing int) {
	ctx, cancel := context.WithTimeout(ctx, drain.Patience(ctx))
	defer cancel()
	told := b.sessionsOf(a) // they only become fewer: no more providers are told
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

// empty moves everything that waits in an app's lanes to the spool.
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

// fillAgain makes an app's lanes deliver what still comes to them, if the app is configured.
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

// abandon forgets what clients may send again, because it could not be recorded for the next
// process. Bad tokens that only these records would have told of go to the feedback list.
func abandon(clients []*client) {
	for _, c := range clients {
		c.during(func(time.Time) { c.ledger.Abandon() })
	}
}

// clientsOf gives the clients of an app, or of all apps if a is nil.
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

// wait waits until a condition holds or ctx ends. It reports whether the condition holds.
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
