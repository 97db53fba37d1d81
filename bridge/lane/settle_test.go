package lane

import (
	"fmt"
	"math"
	"time"
)

// settle goes on only as the lane asks for it, until done.
func (w *world) settle(what string, limit time.Duration, done func() bool) {
	l := w.lane
	w.settleWork()
	until := w.now.Mono + limit
	for step := 0; !done(); step++ {
		if step > 20000 || w.now.Mono > until {
			w.fail("%s: not done after %d steps, %v; %v", what, step, w.now.Mono-until+limit, w.dump())
		}
		l.now.Mono = w.now.Mono
		ready := l.Next() <= int64(w.now.Mono)
		switch {
		case len(w.finish) > 0 && (w.rnd.IntN(2) == 0 || !ready && len(w.flight) == 0):
			w.finishOne(w.rnd.IntN(len(w.finish)))
		case len(w.flight) > 0 && (w.rnd.IntN(2) == 0 || !ready):
			w.answer(w.rnd.IntN(len(w.flight)))
		case ready:
			w.run(1 + w.rnd.IntN(6))
		default:
			at := l.Next()
			if at == math.MaxInt64 || time.Duration(at) > until+time.Hour*11 {
				w.fail("%s: all sleep; %v", what, w.dump())
			}
			w.checkRest()
			w.pass(max(time.Duration(at)-w.now.Mono, time.Millisecond))
			w.run(4)
		}
		if len(w.bad) > 0 && step < 600 && w.rnd.IntN(4) == 0 {
			d := w.bad[w.rnd.IntN(len(w.bad))]
			switch w.rnd.IntN(5) {
			case 0:
				w.throttled[d] = !w.throttled[d]
			case 1:
				w.badToken[d] = !w.badToken[d]
			case 2:
				if w.refused[1] == Accepted {
					w.refused[1] = w.shaky
				} else {
					w.refused[1] = Accepted
				}
			default:
				w.arrive(d)
			}
		}
		w.offer()
		w.check()
	}
}

func (w *world) dump() (s string) {
	l := w.lane
	missing := ""
	for dev := range devices {
		for s := range w.arrived[dev] {
			if k := (key{dev, s}); !w.over(k) && (w.counts == nil || w.counts(k)) && len(missing) < 60 {
				missing += fmt.Sprint(k)
			}
		}
	}
	s = missing + fmt.Sprintf(" held %d memory %d puts %d loading %d waiting %d ahead %d flight %d door %v ", len(w.held),
		w.memory,
		l.puts.len(), l.loading.len(), len(l.waiting), l.ahead, len(w.flight), l.Door)
	for _, n := range l.lines {
		s += fmt.Sprintf("[%s: door %v log %d atDoor %d unlisted %v:", n.Name, n.Door, n.disk.Waiting(), n.atDoor.size,
			n.unlisted)
		for _, d := range n.devices {
			s += fmt.Sprintf(" %s(state %d queued %d moving %d arriving %d first %v)", d.token.bytes(), d.state, d.queued, d.moving, d.arriving, d.first != nil)
		}
		s += "]"
	}
	return s
}

// all reports whether all notifications that count, and have arrived, are over.
func (w *world) all(counts func(key) bool) func() bool {
	w.counts = counts
	return func() bool {
		for dev := range devices {
			for s := range w.arrived[dev] {
				if k := (key{dev, s}); !w.over(k) && counts(k) {
					return false
				}
			}
		}
		return true
	}
}
