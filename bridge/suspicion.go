package bridge

import (
	"fmt"
	"time"

	"apnsbridge/bridge/feedback"
	"apnsbridge/bridge/health"
	"apnsbridge/bridge/lane"
)

// ruled carries out what a line's guard has concluded from APNs' answers.
func (a *app) ruled(l *appLane, r guardRuling) {
	b := a.bridge
	if r.Alarm {
		a.health.Suspect(l.scope(r.line), a.suspicion(), a.refusal.sentence())
	}
	if r.Hold {
		a.badTokens.Flush(b.now())
	}
	for _, w := range r.Withdraw {
		a.feed(feedback.Entry{Token: w.Token, At: w.Recorded.Add(time.Millisecond), Alive: true})
	}
}

// guardKey names the record of the guard of n.
func guardKey(l *appLane, n *lane.Line) string {
	return l.app.name + "\x00" + l.environment.String() + "\x00" + n.Name
}

// restoreGuard gives the guard of n what was recorded of it. The caller holds l.mu.
func (l *appLane) restoreGuard(n *lane.Line) {
	b := l.app.bridge
	record := l.app.log.Load().Guard(guardKey(l, n))
	if record == nil {
		return
	}
	if err := l.core.Restore(n, record, b.clock.Now()); err != nil {
		b.log.Error().Err(err).Str("app", l.app.name).Msg("it is not known when APNs last accepted a push")
	}
}

// suspicion is what the operator is told when a guard becomes suspicious.
func (a *app) suspicion() string {
	return fmt.Sprintf("APNs refuses the app's device tokens, %d different ones in a row: "+
		"are environment, topic and credential those of the app on the devices? "+
		"If these tokens are really bad, say so: POST /apps/%s/believe", lane.GuardTokens, a.name)
}

// scope is the scope of a problem with a line.
func scope(e Environment, line string) health.Scope {
	return health.Scope{Environment: health.Environment(e), Line: line}
}

// scope is the scope of a problem with n.
func (l *appLane) scope(n *lane.Line) health.Scope {
	return scope(l.app.route.Load().app.EnvironmentOf(l.environment), n.Name)
}

// recordable reports whether a token that APNs refused at the time at may go to the
// feedback list: it may not while a line of the app is suspected of being to blame
// itself.
func (a *app) recordable(token []byte, at time.Time) bool {
	for _, l := range a.lanes {
		l.lock()
		may := true
		for _, n := range l.core.Lines() {
			ok, save := n.Recordable(token, at)
			may = may && ok
			if save {
				l.Ruled(n, lane.Ruling{Save: true})
			}
		}
		l.unlock()
		if !may {
			return false
		}
	}
	return true
}

// Try makes a probe due at once wherever notifications of an app wait, because its
// operator asks for it.
func (b *Bridge) Try(name string) error {
	_, err := b.tell(name, (*lane.Lane).Try)
	return err
}

// Believe says, on the operator's word, that the tokens of an app that APNs refuses
// really are bad.
func (b *Bridge) Believe(name string) error {
	a, err := b.tell(name, (*lane.Lane).Believe)
	if err == nil {
		a.health.Over(a.suspicion())
	}
	return err
}

// configured finds an app by its name.
func (b *Bridge) configured(name string) (*app, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.apps[name]; a != nil && a.configured {
		return a, nil
	}
	return nil, fmt.Errorf("no app %q is configured", name)
}

func (b *Bridge) tell(name string, what func(*lane.Lane, lane.Now)) (*app, error) {
	a, err := b.configured(name)
	if err != nil {
		return nil, err
	}
	a.during(func(l *appLane, now lane.Now) {
		what(l.core, now)
		for _, n := range l.core.Lines() {
			l.Ruled(n, lane.Ruling{Save: true})
		}
	})
	return a, nil
}

// tendHealth tells the time to the health of a. Problems of a topic of which nothing is
// left, or of an environment that the app has left, are forgotten.
func (a *app) tendHealth(now time.Time) {
	if a.health.Ill() {
		route := a.route.Load()
		a.health.Forget(func(at health.Scope) bool {
			for _, l := range a.lanes {
				if health.Environment(route.app.EnvironmentOf(l.environment)) == at.Environment && l.has(at.Line) {
					return false
				}
			}
			return true
		})
	}
	a.health.Tick(now)
}

// has reports whether a line has anything in it. That of the configured topic always
// counts as if it had.
func (l *appLane) has(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.core.Line(line)
	return line == "" || n != nil && !n.Idle()
}
