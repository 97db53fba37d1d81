package bridge

import (
	"fmt"
	"time"

	"apnsbridge/bridge/feedback"
	"apnsbridge/bridge/health"
	"apnsbridge/bridge/lane"
)

// ruled carries out what the guard of a line has made of APNs' answers.
func (a *app) ruled(l *appLane, r guardRuling) {
	b := a.bridge
	if r.Alarm {
		a.health.Say(l.scope(r.line), a.suspicion()+". The last answer: "+a.refusal.sentence())
	}
	if r.Hold {
		a.badTokens.Flush(b.now())
	}
	for _, w := range r.Withdraw {
		a.feed(feedback.Entry{Token: w.Token, At: w.Recorded.Add(time.Millisecond), Alive: true})
	}
}

// guardKey names what is written of the guard of n.
func guardKey(l *appLane, n *lane.Line) string {
	return l.app.name + "\x00" + l.environment.String() + "\x00" + n.Name
}

// restoreGuard gives the guard of n what was written of it. l.mu is held.
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

// suspicion is what the operator is told when a guard is aroused.
func (a *app) suspicion() string {
	return fmt.Sprintf("APNs refuses the app's device tokens, %d different ones in a row: "+
		"are environment, topic and credential those of the app on the devices? "+
		"If these tokens are really bad, say so: POST /apps/%s/believe", lane.GuardTokens, a.name)
}

// scope is what a problem with a line concerns.
func scope(e Environment, line string) health.Scope {
	return health.Scope{Environment: health.Environment(e), Line: line}
}

// scope is what a problem with n concerns.
func (l *appLane) scope(n *lane.Line) health.Scope {
	return scope(l.app.route.Load().app.EnvironmentOf(l.environment), n.Name)
}

// recordable reports whether a token that APNs has refused, in a push sent at the
// time at, may go to the feedback list: no line of the app is under suspicion of
// being to blame itself.
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

// Try makes a probe due at once wherever notifications of an app wait, as its
// operator wants it.
func (b *Bridge) Try(name string) error {
	_, err := b.tell(name, (*lane.Lane).Try)
	return err
}

// Believe says that the tokens of an app that APNs refuses are really bad, on its
// operator's word.
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

// tendHealth tells the time to the health of a. What is wrong with a topic of which
// there is nothing any more, or an environment that the app has left, is over.
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

// has reports whether there is something of a line; of that of the configured topic
// there always is.
func (l *appLane) has(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.core.Line(line)
	return line == "" || n != nil && !n.Idle()
}
