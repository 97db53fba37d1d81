package lane

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// stir does one of the things that may happen, at random.
func (w *world) stir() {
	l, rnd := w.lane, w.rnd
	switch n := rnd.IntN(32); {
	case n < 10:
		w.arrive(rnd.IntN(devices))
	case n < 16 && len(w.flight) > 0:
		w.answer(rnd.IntN(len(w.flight)))
	case n < 21 && w.mode != Off:
		w.work(1 + rnd.IntN(5))
	case n < 24:
		if len(l.batch) == 0 && w.reads == nil {
			w.run(1 + rnd.IntN(6))
		}
	case n == 24:
		w.pass(time.Duration(rnd.IntN(20000)) * time.Millisecond)
	case n == 25:
		w.pass(time.Duration(rnd.IntN(1000)) * time.Millisecond)
	case n == 26:
		switch rnd.IntN(10) {
		case 0:
			w.down = []Class{Failed, NoAnswer, CredentialRefused, Malformed, NoConnection, Unlooked, Strange}[rnd.IntN(7)]
		case 1, 2, 3, 4:
			w.down = Accepted
		case 5:
			w.now.Wall += int64(rnd.IntN(7200) - 3600)
		case 6:
			l.Try(w.now)
		case 7:
			l.TopicRenewed(l.Lines()[rnd.IntN(topics)], w.now)
		default:
			l.Renewed(w.now)
		}
	case n == 27:
		w.refused[rnd.IntN(topics)] = []Class{Accepted, Accepted, Accepted, Accepted, TopicRefused, Failed}[rnd.IntN(6)]
	case n == 28:
		d := rnd.IntN(devices)
		w.throttled[d] = rnd.IntN(2) == 0
		w.badToken[d] = rnd.IntN(3) == 0
	case n == 29:
		w.disk.broken = rnd.IntN(4) == 0
		w.disk.unread = rnd.IntN(4) == 0
		if w.disk.room = 1000; rnd.IntN(3) == 0 {
			w.disk.room = len(w.disk.rows) + rnd.IntN(10)
		}
		if rnd.IntN(6) == 0 && w.mode != Off {
			if l.stopped {
				l.Start(w.now)
			} else {
				l.Stop(w.now)
			}
		}
	case n == 30:
		if len(w.finish) > 0 {
			w.finishOne(rnd.IntN(len(w.finish)))
		}
	case n == 31:
		if len(w.flight) > 0 {
			l.Keep(&w.flight[rnd.IntN(len(w.flight))].Item, w.now)
		}
	}
	w.offer()
	w.check()
}

func (w *world) crash() {
	w.crashes++
	stopped := w.rnd.IntN(3) == 0 && w.mode != Off
	if stopped { // in order, with a disk that works: nothing is lost
		w.disk.broken, w.disk.room, w.disk.unread = false, 1e6, false
		w.lane.Stop(w.now)
		w.settleWork()
		for i := 0; w.lane.Wake || w.lane.puts.len() > 0; i++ {
			if w.pass(time.Second); i > 1000 {
				w.fail("Stop has no end: %s", w.dump())
			}
			w.run(5)
		}
	}
	w.log("crash")
	for _, g := range w.disk.gone { // it was not durable that they are done
		if w.rnd.IntN(2) == 0 {
			g.out = true
			w.disk.add(g)
		}
	}
	w.disk.gone = nil
	kept := map[key]bool{}
	for _, r := range w.disk.rows {
		k := key{r.device, r.seq}
		kept[k] = true
		w.disk.checkOut(r, false)
		if w.ended[k] > 0 {
			delete(w.poison, k) // it comes again
		}
	}
	for _, n := range w.held {
		kept[n.key()] = true
	}
	for dev := range devices {
		for s := range w.arrived[dev] {
			if k := (key{dev, s}); w.ended[k] == 0 && !kept[k] {
				if w.lost[k] = true; stopped {
					w.fail("%v is lost at the end", k)
				}
			}
		}
	}
	w.flight, w.finish, w.reads, w.busy, w.memory, w.live = nil, nil, nil, map[int]bool{}, 0, map[*note]bool{}
	w.now.Mono = time.Duration(w.rnd.IntN(1000)) * time.Millisecond // another boot
	w.start()
}

func history(t *testing.T, seed uint64, mode Mode, crashes, sick bool) {
	rnd := rand.New(rand.NewPCG(seed, 11))
	w := &world{t: t, name: fmt.Sprintf("seed %d mode %d crashes %v sick %v", seed, mode, crashes, sick), rnd: rnd,
		mode: mode,
		disk: newFakeDisk(rnd), now: Now{Mono: 5 * time.Second, Wall: 1_700_000_000, Time: time.Unix(1_700_000_000, 0)},
		ended: map[key]int{}, lost: map[key]bool{}, silent: map[key]int{}, strange: map[key]int{}, busy: map[int]bool{}, live: map[*note]bool{}, poison: map[key]Class{},
		entries: 1000, asked: key{-1, 0}}
	if seed%3 == 0 {
		w.entries = 2
	}
	if seed%4 == 0 {
		w.blur = ^uint64(3)
	}
	if sick {
		w.sick = 0.08
	}
	w.start()
	length := 100 + rnd.IntN(300)
	for i := range length {
		w.stir()
		if crashes && i == length/2 {
			w.crash()
		}
	}
	if w.lane.stopped {
		w.lane.Start(w.now)
	}
	// A part is well again; the rest stays as it is.
	w.down, w.disk.broken, w.disk.room, w.disk.unread = Accepted, false, 1e6, false
	w.refused[0] = Accepted
	for d := range devices {
		if rnd.IntN(3) > 0 {
			w.throttled[d] = false
		}
	}
	for d := range devices {
		if w.throttled[d] || w.badToken[d] || w.refused[d%topics] != Accepted {
			w.bad = append(w.bad, d)
		}
	}
	bad := slices.Clone(w.bad)
	w.shaky = w.refused[1]
	well := func(k key) bool {
		if slices.Contains(bad, k.device) || mode == Off && len(w.held) > 0 {
			return false
		}
		for s := range k.seq + 1 {
			// Behind words that are not known one waits for an hour soon, if it is tried in between.
			if x := (key{k.device, s}); !w.over(x) && (w.poison[x] != 0 || w.strange[x] > 3) {
				return false
			}
		}
		return true
	}
	for range 10 {
		w.arrive(rnd.IntN(devices))
	}
	w.settle("well", 1800*time.Second, w.all(well))
	w.bad, w.refused = nil, [topics]Class{}
	clear(w.poison)
	clear(w.throttled[:])
	clear(w.badToken[:])
	w.settle("all", 24*time.Hour, w.all(func(key) bool { return true }))
	w.settle("quiet", 1800*time.Second, func() bool {
		return !w.lane.Wake && len(w.flight)+len(w.disk.rows)+len(w.finish) == 0 && !w.lane.mayRead()
	})
	if len(w.disk.rows) != 0 || w.memory != 0 || w.lane.ahead != 0 || w.lane.asleep != 0 || w.lane.unstored != 0 {
		w.fail("left: %d rows, %d and %d in memory, %d asleep; %s", len(w.disk.rows), w.memory, w.lane.ahead, w.lane.asleep,
			w.dump())
	}
	if d := w.lane.Door; d.Reason != Open && d.good > 0 {
		w.fail("closed (%d), and nobody waits", d.Reason)
	}
	for _, n := range w.lane.lines {
		if len(n.devices) > 0 || n.Door.Reason != Open && n.Door.good > 0 {
			w.fail("left: %s", w.dump())
		}
	}
}

// Whatever happens in whatever order, each device keeps its order with one item out at a time,
// nothing is lost or sent twice, what can go goes, what waits is on disk once it is written, and
// memory stays within its bound.
func TestHistories(t *testing.T) {
	n := uint64(*histories)
	if n == 0 {
		switch n = 500; {
		case *long:
			n = 10_000
		case testing.Short(): // fuzz/mutate
			n = 20
		}
	}
	for _, m := range []Mode{Off, Overflow, Always} {
		for _, crashes := range []bool{false, true} {
			for _, sick := range []bool{false, true} {
				if crashes && m == Off {
					continue
				}
				t.Run(fmt.Sprintf("%d/crashes=%t/sick=%t", m, crashes, sick), func(t *testing.T) {
					t.Parallel()
					for seed := *first; seed < *first+n; seed++ {
						history(t, seed, m, crashes, sick)
					}
				})
			}
		}
	}
}
