package conversation

import (
	"maps"
	"slices"
	"time"
)

// habits are the ways in which providers behave that the ledger has to handle correctly.
var habits = []struct {
	name    string
	library library
	live    func(w *world, lib library, mail func() content) // nil: one program, messages now and then
	exempt  bool                                             // not delivered exactly once, see docs/promises.md
	bad     float64                                          // share of bad tokens; 0: any
	leave   bool                                             // one device in seven is gone
}{
	{name: "keeps its identifiers (java-apns)", library: library{naming: counting, resending: atFront}},
	{name: "keeps, from a database", library: library{naming: databaseID, resending: atEnd, delay: 20 * time.Second}},
	{name: "random identifiers, at once", library: library{naming: random, resending: atFront}},
	{name: "random identifiers, 12 s late", library: library{naming: random, resending: atEnd, delay: 12 * time.Second}},
	{name: "renumbers at the front (pushy)", library: library{naming: fromOne, resending: atFront}},
	{name: "renumbers at the end (node-apn)", library: library{naming: fromZero, resending: atEnd}},
	{name: "renumbers, a queue of minutes", library: library{naming: fromZero, resending: atEnd, pace: time.Second}},
	{name: "reads errors at the end, keeps (JavaPNS)", library: library{naming: counting, resending: atFront, batch: 1000}},
	{name: "reads errors at the end, renumbers", library: library{naming: fromOne, resending: atFront, batch: 60}},
	{name: "after 3 s, on the close (apnagent)", library: library{naming: fromZero, resending: atFront, delay: 3 * time.Second, lingers: true}},
	{name: "inclusive, three tries (ApnsPHP)", library: library{naming: counting, resending: atFront, inclusive: true}},
	{name: "inclusive, renumbers", library: library{naming: fromOne, resending: atFront, inclusive: true}},
	{name: "inclusive, one counter", library: library{naming: anew, resending: atFront, inclusive: true, offset: 5000}},
	{name: "cache of 50, keeps", library: library{naming: counting, resending: atFront, cache: 50}},
	{name: "cache of 50, renumbers", library: library{naming: fromZero, resending: atFront, cache: 50}},
	{name: "cache of 100, keeps", library: library{naming: counting, resending: atEnd, cache: 100}},
	{name: "pool of 3, keeps", library: library{naming: counting, resending: atFront, pool: 3}},
	{name: "pool of 3, renumbers", library: library{naming: fromZero, resending: atEnd, pool: 3}},
	{name: "through a database, a minute late", library: library{naming: databaseID, resending: atEnd, delay: time.Minute, pool: 2}},
	{name: "into the old socket (apns4erl)", library: library{naming: counting, resending: intoOldSocket}},
	{name: "never, many connections", library: library{naming: fromZero, pool: 5}},
	{name: "never, one connection", library: library{naming: counting}},
	{name: "never, one connection, thousands before", library: library{naming: counting, offset: 5000}},
	{name: "never, deaf, batches", library: library{naming: fromZero, deaf: true, batch: 30}},
	{name: "never, deaf, one connection", library: library{naming: counting, deaf: true}},
	{name: "never, reads at the end", library: library{naming: fromZero, batch: 30}},
	{name: "identifier always 0, never (grocer)", library: library{naming: zero}},
	{name: "identifier always 0, sends again (PyAPNs)", library: library{naming: zero, resending: atFront}},
	{name: "identifier is the user, never", library: library{naming: byUser}},
	{name: "identifier is the user, sends again", library: library{naming: byUser, resending: atFront}},
	{name: "no identifier, command 0", library: library{naming: nameless}},
	{name: "connection per message, never", library: library{naming: zero, single: true, pool: 1}},
	{name: "connection per message, sends again", library: library{naming: counting, resending: atFront, single: true}},
	{name: "shuts down its side, then reads and sends again", library: library{naming: fromOne, resending: atFront, batch: 40, halves: true}},
	{name: "shuts down its side, then reads, never", library: library{naming: fromOne, batch: 40, halves: true}},
	{name: "whole list every minute, unread", library: library{naming: fromZero, deaf: true, batch: 1000}, live: everyMinute, exempt: true},
	{name: "whole list every minute, read, never", library: library{naming: fromZero, batch: 1000}, live: everyMinute, exempt: true},
	{name: "two programs, one sends again", library: library{naming: fromZero, resending: atFront}, live: twoPrograms},
	{name: "two programs, counting alike", library: library{naming: counting, resending: atFront}, live: twoAlike},
	{name: "never, one connection, 3,000 of them", library: library{naming: counting}, live: untilKnown},
	{name: "never, reads at the end, 3,000 of them", library: library{naming: fromZero, batch: 30}, live: untilKnown},
	{name: "writes its list and goes", library: library{naming: counting, deaf: true, batch: 1 << 20, pace: 200 * time.Microsecond, steady: true}, live: lists},
	{name: "writes its list and goes, renumbers", library: library{naming: fromOne, deaf: true, batch: 1 << 20, pace: 2 * time.Millisecond, steady: true}, live: lists},
	{name: "into the old socket in rounds, renumbers (pushy)", library: library{naming: fromOne, resending: inRounds}},
	{name: "into the old socket in rounds, keeps", library: library{naming: counting, resending: inRounds}},
	{name: "one counter over all connections (AnyEvent)", library: library{naming: anew, resending: atFront}},
	{name: "one counter, thousands before", library: library{naming: anew, resending: atFront, offset: 5000}},
	{name: "one counter, reads at the end", library: library{naming: anew, resending: atFront, batch: 60, offset: 5000}},
	{name: "one counter, devices have gone", library: library{naming: anew, resending: atFront, offset: 5000}, leave: true},
	{name: "another identifier each time, at random", library: library{naming: anything, resending: atFront}},
	{name: "keeps, then another renumbers", library: library{naming: fromOne, resending: atFront}, live: besideKeeper},
	{name: "keeps, then another renumbers at the end", library: library{naming: fromZero, resending: atEnd}, live: besideKeeper},
	{name: "keeps, then another counts from 1 (AnyEvent)", library: library{naming: anew, resending: atFront}, live: besideKeeper},
	{name: "keeps, then another counts on (AnyEvent)", library: library{naming: anew, resending: atFront, offset: 5000}, live: besideKeeper},
	{name: "keeps, then another draws identifiers", library: library{naming: anything, resending: atFront}, live: besideKeeper},
	{name: "two layouts, beside one that keeps (node-apn)", library: library{naming: fromZero, resending: atEnd, mixed: true}, live: besideKeeper},
	{name: "cache of 20, a long tail, 1 % bad", library: library{naming: counting, resending: atFront, cache: 20, pace: time.Millisecond}, live: many, bad: 0.01},
	{name: "cache of 20, a long tail, 0.1 % bad", library: library{naming: counting, resending: atFront, cache: 20, pace: time.Millisecond}, live: many, bad: 0.001},
	{name: "killed, all sent again", library: library{naming: counting, resending: atFront}, live: kills},
	{name: "network cuts, its last ten sent again", library: library{naming: counting, resending: atFront}, live: cuts, exempt: true},
	{name: "gateway restarts, keeps", library: library{naming: counting, resending: atFront}, live: restarts},
	{name: "gateway restarts, renumbers", library: library{naming: fromZero, resending: atEnd}, live: restarts},
	{name: "gateway restarts, inclusive", library: library{naming: counting, resending: atFront, inclusive: true}, live: restarts},
	{name: "gateway restarts, never", library: library{naming: fromZero}, live: restarts},
}

// nowAndThen is one program whose messages come in bursts, with pauses.
func nowAndThen(w *world, lib library, mail func() content) {
	p := &program{w: w, library: lib}
	p.works(30+w.rng.IntN(170), mail)
}

// works gives p the messages over a few minutes, and then lets it leave.
func (p *program) works(messages int, mail func() content) {
	w := p.w
	var at time.Duration
	for messages > 0 {
		burst := min(1+w.rng.IntN(60), messages)
		messages -= burst
		contents := make([]content, burst)
		for i := range contents {
			contents[i] = mail()
		}
		w.after(at, func() {
			for _, c := range contents {
				p.enqueue(c)
			}
		})
		if w.chance(0.2) {
			at += w.between(0, 100*time.Second)
		} else {
			at += w.between(0, 8*time.Second)
		}
	}
	w.after(at+2*time.Minute, p.leave)
}

// lists is a program that every few minutes gets a list of new messages and writes it in one go.
func lists(w *world, lib library, mail func() content) {
	w.near, w.harsh = true, false
	p := &program{w: w, library: lib}
	var at time.Duration
	for range 1 + w.rng.IntN(4) {
		contents := make([]content, 1+w.rng.IntN(400))
		for i := range contents {
			contents[i] = mail()
		}
		w.after(at, func() {
			for _, c := range contents {
				p.enqueue(c)
			}
		})
		at += w.between(20*time.Second, 200*time.Second)
	}
	w.after(at+time.Minute, p.leave)
}

// many is a program with enough messages for some packets, and for tails longer than its cache.
func many(w *world, lib library, mail func() content) {
	p := &program{w: w, library: lib}
	p.works(1500, mail)
}

// besideKeeper is a program beside another of the same kind. That one keeps its identifiers,
// begins up to two minutes earlier, and goes on.
func besideKeeper(w *world, lib library, mail func() content) {
	keeper := library{naming: counting, resending: atFront, offset: 1000}
	if lib.mixed {
		keeper.mixed = true
	}
	(&program{w: w, library: keeper}).works(60+w.rng.IntN(80), mail)
	w.after(w.between(0, 2*time.Minute), func() {
		(&program{w: w, library: lib}).works(20+w.rng.IntN(80), mail)
	})
}

// kills is a program that sends everything again, from the beginning, when its connection
// breaks; the gateway is killed once or twice. What was refused just before a kill is not on
// disk, and no provider is told of it.
func kills(w *world, lib library, mail func() content) {
	w.lossy = true
	p := &program{w: w, library: lib}
	p.works(30+w.rng.IntN(170), mail)
	for range 1 + w.rng.IntN(2) {
		w.after(w.between(0, 20*time.Second), func() { w.kill(p) })
	}
}

// untilKnown is a program that goes on until its habit is known.
func untilKnown(w *world, lib library, mail func() content) {
	p := &program{w: w, library: lib}
	p.works(3000, mail)
}

// cuts is a program that sends again the last of what it wrote on a connection when the
// network breaks it.
func cuts(w *world, lib library, mail func() content) {
	w.lossy = true
	p := &program{w: w, library: lib}
	p.works(30+w.rng.IntN(170), mail)
	for range 5 {
		w.after(w.between(0, 40*time.Second), p.cut)
	}
}

func everyMinute(w *world, lib library, mail func() content) {
	list := make([]content, 10+w.rng.IntN(50))
	for i := range list {
		list[i] = mail()
	}
	p := &program{w: w, library: lib}
	for run := range 5 {
		w.after(time.Duration(run)*time.Minute, func() {
			for _, c := range list {
				p.enqueue(c)
			}
		})
	}
	w.after(10*time.Minute, p.leave)
}

func twoPrograms(w *world, lib library, mail func() content) {
	(&program{w: w, library: lib}).works(20+w.rng.IntN(80), mail)
	lib.resending = nowhere
	(&program{w: w, library: lib}).works(20+w.rng.IntN(80), mail)
}

func twoAlike(w *world, lib library, mail func() content) {
	(&program{w: w, library: lib}).works(20+w.rng.IntN(80), mail)
	(&program{w: w, library: lib}).works(20+w.rng.IntN(80), mail)
}

func restarts(w *world, lib library, mail func() content) {
	nowAndThen(w, lib, mail)
	w.after(w.between(0, 20*time.Second), w.stop)
	w.after(w.between(60*time.Second, 200*time.Second), w.stop)
}

// stop ends the gateway as SIGTERM does, and starts it anew.
func (w *world) stop() {
	if w.down {
		return
	}
	w.log("stops")
	w.down = true
	for _, l := range w.links {
		if l.conn == nil || l.gone {
			continue
		}
		l.spool()
	}
	for _, l := range w.links {
		if l.conn != nil && !l.gone {
			l.conn.Shutdown(w.clock())
			w.obey()
		}
	}
	w.after(w.between(20*time.Second, 30*time.Second), w.startAgain)
}

// tomb is what is known of a notification that was in the spool when the gateway was
// killed.
type tomb struct {
	content    content
	identifier uint32
}

// kill ends the gateway without a shutdown, and starts it anew. Everything that it had taken
// is on disk; what it had sent to APNs is delivered.
func (w *world) kill(p *program) {
	if w.down {
		return
	}
	w.log("killed")
	w.down, w.graves = true, w.put
	w.put = maps.Clone(w.put)
	for _, l := range w.links {
		if l.breaks(); l.conn == nil {
			continue
		}
		for s := l.conn.window.head; s < l.conn.window.Tail(); s++ {
			if l.conn.Settled(s) {
				continue
			}
			if m, ok := l.conn.window.At(s).content.(*message); ok && m.forwarded && !m.settled {
				m.settled = true
				l.conn.Settle(s, Spooled, w.clock())
			}
		}
	}
	left := maps.Clone(w.disk)
	for l := w.ledger; ; { // the decisions that are left die with it
		d, ok := l.Next()
		if !ok {
			break
		}
		if d.Do == Release {
			w.carryOut(d)
		}
	}
	w.disk = left
	w.stats.add(w.ledger.Stats())
	w.restart()
	p.startOver()
}

func (w *world) startAgain() {
	for _, l := range w.links {
		if l.conn == nil || l.gone {
			continue
		}
		l.spool()
		l.closed = true
		l.finish(false)
		w.obey()
	}
	w.store(w.ledger.Records(w.clock()))
	w.stats.add(w.ledger.Stats())
	w.graves, w.put = nil, map[tomb]int{}
	w.restart()
}

// restart starts the gateway after a while, with what is on disk.
func (w *world) restart() {
	o := w.ledger.options
	o.Budget = NewBudget(64 << 20)
	w.ledger, w.ticking = New(o, w.clock()), never
	w.after(w.between(0, 10*time.Minute), func() {
		w.log("starts")
		w.down = false
		w.ledger = New(o, w.clock())
		if err := w.ledger.Restore(slices.Collect(maps.Values(w.disk)), true, w.clock()); err != nil {
			w.wrong = err.Error()
		}
	})
}

// spool settles what has no verdict as spooled: the spool answers for it now.
func (l *link) spool() {
	for s := l.conn.window.head; s < l.conn.window.Tail(); s++ {
		if s < l.conn.window.head {
			continue
		}
		if m, ok := l.conn.window.At(s).content.(*message); ok && m.forwarded && !m.settled {
			m.settled = true
			l.conn.Settle(s, Spooled, l.w.clock())
			l.w.obey()
		}
	}
}
