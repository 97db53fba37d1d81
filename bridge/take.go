package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/ledgerlog"
)

// tenure is whose an app of several processes is. Without a fleet all
// apps are here for life.
type tenure uint8

const (
	here  tenure = iota
	loose        // it is not known: sessions are opened, and go without packets
	away         // it is another's, or about to be: no session is opened
)

// ErrAway says that an app lives in another process, or nowhere yet.
var ErrAway = errors.New("the app is not here")

// Take makes an app this process's own: what its clients may send again is loaded, and
// what waits of it in the spool is delivered from now on. It is the app's start; for
// sessions that were loose, their answers return. In ledger the app keeps what it
// remembers while this process has it.
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

// begin has log write until stop, or the bridge's end. b.mu is held.
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

// logs are where something is written down.
func (b *Bridge) logs() map[*ledgerlog.Log]bool {
	logs := map[*ledgerlog.Log]bool{b.ledgerLog: true}
	for _, a := range b.everyApp() {
		logs[a.log.Load()] = true
	}
	return logs
}

// restoreClients gives the clients that there are what was written of them; those
// without a session begin with it anew. b.mu is held.
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

// Loosen has an app's sessions go on without packets, and new ones be opened that way: it
// is not known whose it is. What was read of what processes share, and is not with APNs,
// goes out of memory.
func (b *Bridge) Loosen(name string) {
	a := b.appOf(name)
	if a == nil {
		return
	}
	b.hold(a, loose)
	a.during(func(l *appLane, now lane.Now) { l.core.Stop(now) })
	ctx, cancel := context.WithTimeout(b.ctx, loosePatience)
	defer cancel()
	wait(ctx, func() bool { return a.out() == 0 }) // what is not with APNs yet comes back
	b.fillAgain(a)
}

// GoOn has an app's sessions be answered again: it was no other's meanwhile.
func (b *Bridge) GoOn(name string) {
	a := b.appOf(name)
	if a == nil {
		return
	}
	b.hold(a, here)
	a.during(func(l *appLane, _ lane.Now) { l.found() })
}

// found has the lane look for more on disk than it has put there. l.mu is held.
func (l *appLane) found() {
	l.takeUp()
	l.core.Found()
}

// Hush has an app's sessions go without packets, as it is about to be given.
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

// hold gives an app its tenure, and its sessions their voice.
func (b *Bridge) hold(a *app, t tenure) {
	b.mu.Lock()
	a.tenure = t
	b.mu.Unlock()
	b.hush(a, t != here)
}

// hush has the sessions of an app go without packets, or not, and those that are yet to come.
func (b *Bridge) hush(a *app, on bool) {
	a.hushed.Store(on)
	for _, s := range b.sessionsOf(a) {
		s.client.during(func(now time.Time) { s.talk.Hush(on, now) })
	}
}

// sessionsOf are those of an app; all with nil.
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
