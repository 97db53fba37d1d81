package bridge

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/trace"
	"apnsbridge/store"
)

// appLane is an app's way into one environment of APNs, safe for use by several
// goroutines. It is a lane.Lane with its lock, and carries out what the lane decides
// after the lock is released. The lock may be taken while a client's is held; while
// it is held, no lock but the store's may be taken.
type appLane struct {
	app         *app
	environment Environment
	wake        chan struct{} // for run
	troubled    atomic.Bool   // core.Troubled: upstreams have to ask before a request
	counters    counters
	endings     tally[Ending]

	mu      sync.Mutex
	core    *lane.Lane
	todo    *todo
	running bool         // its goroutine was started
	next    atomic.Int64 // when the goroutine has something to do, in nanoseconds since the start of the clock
	failure error        // of the last attempt to write; nil: it succeeded
	bodies  bodies       // used by the goroutine alone
	times   *Times       // nil: APNs has not answered yet

	spare atomic.Pointer[todo]
}

// todo is what was decided under a lane's lock and is carried out once it is released.
type todo struct {
	send    []*notification
	release []place
	gone    []*notification // each with its outcome
	rulings []guardRuling
	then    []func()
}

// place is the place of a notification in its provider's window.
type place struct {
	session *Session
	seq     conversation.Seq
}

// guardRuling is what a line's guard has concluded from APNs' answers.
type guardRuling struct {
	line *lane.Line
	lane.Ruling
}

func (b *Bridge) newLane(a *app, e Environment) *appLane {
	l := &appLane{app: a, environment: e, wake: make(chan struct{}, 1), todo: new(todo)}
	l.core = lane.New(lane.Config{
		Mode: lane.Mode(b.mode), Sink: l,
		Delays: lane.Delays{
			First: b.limits.RetryDelay, Most: b.limits.RetryDelayMax, Held: heldPeriod, Random: rand.Float64,
		},
		Ahead:   b.limits.SpoolAhead,
		Entries: b.limits.WaitingDevices / ownShare, Asleep: &b.asleep,
		Random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Retry:  b.limits.RetryDelay,
	})
	return l
}

// heldPeriod is the time between two probes for an app whose credential or topic
// APNs does not take: only its operator can put that right.
const heldPeriod = 30 * time.Second

// ownShare is the part of waiting_devices that each lane has for itself: one in so many.
const ownShare = 10

// line finds or makes the line of a topic; "" is the configured topic. The caller
// holds l.mu.
func (l *appLane) line(topic string) *lane.Line {
	n := l.core.Line(topic)
	if n == nil {
		b := l.app.bridge
		line := store.Line{App: l.app.name, Environment: l.environment.String(), Topic: topic}
		n = l.core.AddLine(topic, &lineDisk{spool: b.spool, line: line})
		l.configure(n)
		l.restoreGuard(n)
		if n.Door.Reason == lane.Suspect {
			l.Ruled(n, lane.Ruling{Alarm: true})
		}
	}
	return n
}

// configure tells the guard of n which configuration it works under. The caller holds
// l.mu.
func (l *appLane) configure(n *lane.Line) {
	if route := l.app.route.Load(); route != nil {
		n.Under(route.app.Fingerprint(route.app.EnvironmentOf(l.environment), route.topic(n)))
		n.Doubts(0)
		if !route.app.NoDoubt {
			n.Doubts(lane.GuardTokens)
		}
	}
}

// lock takes the lock and gives the present time.
func (l *appLane) lock() lane.Now {
	l.mu.Lock()
	return l.app.bridge.clock.Now()
}

// unlock releases the lock and carries out what was decided under it.
func (l *appLane) unlock() { l.perform(l.release()) }

// release releases the lock and gives what was decided under it.
func (l *appLane) release() *todo {
	if l.core.Wake {
		l.troubled.Store(l.core.Troubled())
		select {
		case l.wake <- struct{}{}:
		default:
		}
		if !l.running {
			l.start()
		}
	}
	t := l.todo
	if len(t.send)+len(t.gone)+len(t.release)+len(t.rulings)+len(t.then) == 0 {
		l.mu.Unlock()
		return nil
	}
	if l.todo = l.spare.Swap(nil); l.todo == nil {
		l.todo = new(todo)
	}
	l.mu.Unlock()
	return t
}

// perform carries out what was decided. The caller holds no lock of a lane or client.
func (l *appLane) perform(t *todo) {
	if t == nil {
		return
	}
	for _, r := range t.rulings {
		l.app.ruled(l, r)
	}
	for _, p := range t.release {
		p.session.release(p.seq)
	}
	for _, n := range t.gone {
		n.leave(n.outcome, n.lane.app.bridge.now())
	}
	for _, n := range t.send {
		n.route.way(l.environment, n.Request.Topic).Send(&n.Push)
	}
	for _, then := range t.then {
		then()
	}
	clear(t.rulings)
	clear(t.release)
	clear(t.gone)
	clear(t.send)
	clear(t.then)
	t.rulings, t.release, t.gone, t.send, t.then = t.rulings[:0], t.release[:0], t.gone[:0], t.send[:0], t.then[:0]
	l.spare.Store(t)
}

// Send and the methods below implement lane.Sink. The lane calls them while l.mu is held.
func (l *appLane) Send(it *lane.Item, fresh bool) {
	n := of(it)
	n.Fresh, n.Push.Again = fresh, it.Flags.Unlooked > 0
	n.route = l.app.route.Load()
	n.Request.Topic = n.route.topic(it.Line)
	l.todo.send = append(l.todo.send, n)
}

func (l *appLane) Release(it *lane.Item) {
	n := of(it)
	l.note(n, trace.Released, "it has to wait: its provider hears no more of it")
	if n.session != nil { // n itself may be gone by the time this is carried out
		l.todo.release = append(l.todo.release, place{n.session, n.seq})
	}
}

func (l *appLane) Left(it *lane.Item) {
	n := of(it)
	l.note(n, trace.Stored, "")
	n.outcome = conversation.Spooled
	l.todo.gone = append(l.todo.gone, n)
}

func (l *appLane) Ended(it *lane.Item, how lane.End) {
	n := of(it)
	l.note(n, trace.Ended, "%s", how)
	l.end(outcomeOf[how], "")
	n.outcome = conversation.Dropped
	switch how {
	case lane.Expired:
		n.outcome = conversation.Expired
	case lane.Crowded:
		l.app.health.Crowded()
	case lane.Abandoned:
		if it.Flags.Repeated { // there was an attempt without an answer: if it is sent again, it may come twice
			n.outcome = conversation.Spooled
		}
	}
}

// outcomeOf is the outcome that an end in a lane counts as.
var outcomeOf = [...]Outcome{
	lane.Expired: Expired, lane.Crowded: Crowded, lane.Unreadable: Unreadable, lane.Abandoned: Abandoned,
}

func (l *appLane) Gone(it *lane.Item) { l.todo.gone = append(l.todo.gone, of(it)) }

func (l *appLane) Ruled(n *lane.Line, r lane.Ruling) {
	if r.Save { // at once, so that the record of a later ruling is written later
		b := l.app.bridge
		l.app.log.Load().SaveGuard(guardKey(l, n), n.Record(), b.now().Add(lane.GuardLife))
	}
	l.todo.rulings = append(l.todo.rulings, guardRuling{line: n, Ruling: r})
}

func (l *appLane) Full() bool  { return !l.app.account.Room() }
func (l *appLane) Roomy() bool { return l.app.account.Roomy() }

// arrive gives n, which has just come, to the lane. The caller may hold a client's lock,
// and passes what was decided to perform once it has released that.
func (l *appLane) arrive(n *notification, now time.Time) *todo {
	at := l.app.bridge.clock.At(now)
	n.lane = l
	l.mu.Lock()
	l.core.Arrive(&n.Item, at)
	if l.watching(n) {
		l.noteWait(n, at)
	}
	return l.release()
}

// finish says that what has to be remembered of the end of n is durable, or that there is
// nothing to remember.
func (l *appLane) finish(n *notification, o conversation.Outcome) {
	now := l.lock()
	n.outcome = o
	gone := l.core.Finish(&n.Item)
	l.unlock()
	if gone {
		n.leave(o, now.Time)
	}
}

// during lets event happen to the lane, under its lock.
func (l *appLane) during(event func(now lane.Now)) {
	event(l.lock())
	l.core.Wake = true
	l.unlock()
}

// during lets event happen to each of the app's lanes, under its lock.
func (a *app) during(event func(l *appLane, now lane.Now)) {
	for _, l := range a.lanes {
		l.during(func(now lane.Now) { event(l, now) })
	}
}
