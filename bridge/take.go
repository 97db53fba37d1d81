package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/ledgerlog"
)

// tenure says which process owns an app. Without a fleet all apps are here for good.
type tenure uint8

const (
	here  tenure = iota
	loose        // the owner is not known: sessions are opened, but send no packets
	away         // another process owns it, or is about to: no session is opened
)

// ErrAway says that another process owns an app, or none does yet.
var ErrAway = errors.New("this process does not own the app")

// Take makes an app this process's own: it loads what the app's clients may send again, and
// from now on delivers what waits for the app in the spool. This is the app's start; sessions
// that were loose send packets again. ledger is where the app keeps what it remembers while
// this process owns it.
func (b *Bridge) Take(name string, ledger ledgerlog.Store) error {
	log := ledgerlog.New(ledger, b.limits.RetryDelay, b.log)
	if err := log.Open(b.mode == SpoolAlways); err != nil {
		return err
	}
	b.reloading.Lock()
	defer b.reloading.Unlock()
	b.mu.Lock()
	a := b.apps[name]
	if b.closed || a == nil || !a.configured {
		b.mu.Unlock()
		return fmt.Errorf("no app %q is configured", name)
	}
	a.stopLog = b.begin(log)
	a.log.Store(log)
	b.restoreClients(a, log)
	b.bringBack(log)
	b.mu.Unlock()
	b.hold(a, here)
	a.during(func(l *appLane, _ lane.Now) {
		for _, n := range l.core.Lines() {
			l.restoreGuard(n)
		}
		l.found()
	})
	return nil
}

// begin starts log, which writes until stop or the bridge's end. The caller holds b.mu.
func (b *Bridge) begin(log *ledgerlog.Log) (stop func()) {
	ctx, end := context.WithCancel(b.writing)
	ended := make(chan struct{})
	b.writers.Go(func() {
		defer close(ended)
		defer end()
		log.Run(ctx.Done())
	})
	return func() {
		end()
		<-ended
	}
}

// logs gives all logs in use.
func (b *Bridge) logs() map[*ledgerlog.Log]bool {
	logs := map[*ledgerlog.Log]bool{b.ledgerLog: true}
	for _, a := range b.everyApp() {
		logs[a.log.Load()] = true
	}
	return logs
}

// restoreClients gives the clients with a session what was recorded of them. Those without
// one are dropped, and made anew from the record when they come. The caller holds b.mu.
func (b *Bridge) restoreClients(a *app, log *ledgerlog.Log) {
	for key, c := range b.clients {
		if c.app != a {
			continue
		}
		c.mu.Lock()
		if c.sessions == 0 {
			delete(b.clients, key)
			a.conversations.Add(c.ledger.Stats())
		} else {
			c.restore(log, key)
		}
		c.mu.Unlock()
	}
}

// Loosen makes an app's sessions go on without packets, and new ones begin without, because
// it is not known which process owns the app. What was read from the shared store and is not
// with APNs leaves memory.
func (b *Bridge) Loosen(name string) {
	a := b.appOf(name)
	if a == nil {
		return
	}
	b.hold(a, loose)
	a.during(func(l *appLane, now lane.Now) { l.core.Stop(now) })
	ctx, cancel := context.WithTimeout(b.ctx, loosePatience)
	defer cancel()
	wait(ctx, func() bool { return a.out() == 0 }) // what has not been sent yet comes back
	b.fillAgain(a)
}

// GoOn makes an app's sessions send packets again: no other process has owned it meanwhile.
func (b *Bridge) GoOn(name string) {
	a := b.appOf(name)
	if a == nil {
		return
	}
	b.hold(a, here)
	a.during(func(l *appLane, _ lane.Now) { l.found() })
}

// found makes the lane look for more on disk than it has put there. The caller holds l.mu.
func (l *appLane) found() {
	l.takeUp()
	l.core.Found()
}

// Hush stops an app's sessions from sending packets, because the app is about to be given away.
func (b *Bridge) Hush(name string) {
	if a := b.appOf(name); a != nil {
		b.hush(a, true)
	}
}

func (b *Bridge) appOf(name string) *app {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.apps[name]
}

// hold sets an app's tenure, and whether its sessions may send packets.
func (b *Bridge) hold(a *app, t tenure) {
	b.mu.Lock()
	a.tenure = t
	b.mu.Unlock()
	b.hush(a, t != here)
}

// hush stops the sessions of an app, and those yet to come, from sending packets; or lets them
// again.
func (b *Bridge) hush(a *app, on bool) {
	a.hushed.Store(on)
	for _, s := range b.sessionsOf(a) {
		s.client.during(func(now time.Time) { s.talk.Hush(on, now) })
	}
}

// sessionsOf gives the sessions of an app, or of all apps if a is nil.
func (b *Bridge) sessionsOf(a *app) (sessions []*Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.sessions {
		if a == nil || s.app == a {
			sessions = append(sessions, s)
		}
	}
	return sessions
}
