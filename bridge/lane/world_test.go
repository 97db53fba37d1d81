package lane

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	long      = flag.Bool("long", false, "run the long rounds")
	histories = flag.Int("n", 0, "seeds, of ten histories each; 0 is 500, or 10,000 with -long")
	first     = flag.Uint64("seed", 0, "of the first history")
	shown     = flag.Int("trace", 30, "lines of what happened before a fault")
)

const devices, topics = 9, 2

// world is APNs, the providers and the clock around one lane.
type world struct {
	t       *testing.T
	name    string
	rnd     *rand.Rand
	mode    Mode
	disk    *fakeDisk
	lane    *Lane
	now     Now
	arrived [devices]int
	ended   map[key]int
	lost    map[key]bool
	silent  map[key]int
	strange map[key]int
	crashes int
	held    []*note        // not taken for want of room
	memory  int            // taken, and not gone
	live    map[*note]bool // in memory
	did     int            // decisions of the lane
	flight  []*note
	busy    map[int]bool
	finish  []*note // over, and not finished
	reads   []*Read // under way
	room    int64
	done    bool // reads are carried out
	asked   key  // what is being answered
	behind  bool // the one behind it was sent
	entries int
	blur    uint64

	down      Class         // of all; Accepted: APNs is well
	refused   [topics]Class // what is said of all of a topic; Accepted: nothing
	throttled [devices]bool
	badToken  [devices]bool
	poison    map[key]Class
	counts    func(key) bool
	shaky     Class // what is said of topic 1 now and then
	bad       []int // devices that go on to be a nuisance while others settle
	sick      float64
	trace     []string
}

const roomOf = 12

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, s := range w.trace[max(0, len(w.trace)-*shown):] {
		w.t.Log(s)
	}
	w.t.Fatalf("%s: %s", w.name, fmt.Sprintf(format, args...))
}

func (w *world) log(format string, args ...any) {
	if *shown > 0 {
		w.trace = append(w.trace, fmt.Sprintf("%v ", w.now.Mono)+fmt.Sprintf(format, args...))
	}
}

func (w *world) over(k key) bool { return w.ended[k] > 0 || w.lost[k] }

func (w *world) start() {
	w.lane = New(Config{Mode: w.mode, Sink: w, Ahead: 6, Entries: w.entries, Asleep: &Entries{},
		Retry: time.Second, Random: w.rnd,
		Delays: Delays{First: time.Second, Most: 2 * time.Minute, Held: 30 * time.Second, Random: w.rnd.Float64}})
	for t := range topics {
		n := w.lane.AddLine(fmt.Sprint(t), &fakeLine{w.disk, t})
		n.Doubts(3)
		n.blur = w.blur
	}
	w.lane.Start(w.now)
}

func (w *world) Full() bool { return w.memory >= roomOf }

func (w *world) Roomy() bool { return w.memory <= roomOf/2 }

func (w *world) Send(it *Item, _ bool) {
	n := it.Owner.(*note)
	w.did++
	w.log("send %v", n.key())
	if w.busy[n.device] {
		w.fail("two of device %d are out", n.device)
	}
	for s := range n.seq {
		if k := (key{n.device, s}); k == w.asked {
			w.behind = true
		} else if !w.over(k) {
			w.fail("device %d: %d goes before %d", n.device, n.seq, s)
		}
	}
	if w.mode == Always && it.ID == 0 {
		w.fail("%v is sent and not on disk", n.key())
	}
	if it.Expires != 0 && it.Expires <= w.now.Wall {
		w.fail("%v is sent and has expired", n.key())
	}
	if w.lane.stopped {
		w.fail("sent after Stop")
	}
	w.busy[n.device] = true
	w.flight = append(w.flight, n)
}

func (w *world) Release(it *Item) {
	if w.mode != Off && (it.ID == 0 || it.place != chained) {
		w.fail("%v is released, and nobody knows where it is", it.Owner.(*note).key())
	}
}

func (w *world) Left(it *Item) {
	w.log("left %v", it.Owner.(*note).key())
	if it.ID == 0 || it.write != unwritten {
		w.fail("%v left and is not on disk", it.Owner.(*note).key())
	}
	w.gone(it)
}

func (w *world) gone(it *Item) {
	if it.behind != nil {
		w.fail("%v has left, and holds on to another", it.Owner.(*note).key())
	}
	w.did++
	delete(w.live, it.Owner.(*note))
	if !it.Read {
		w.memory--
	}
}

func (w *world) Gone(it *Item) {
	if it.place != left || it.write != unwritten {
		w.fail("%v is gone at %d", it.Owner.(*note).key(), it.place)
	}
	w.gone(it)
}

func (w *world) end(n *note, how string) {
	w.log("end %v %s", n.key(), how)
	k := n.key()
	if w.ended[k]++; w.ended[k] > 1+w.crashes {
		w.fail("%v ended %d times", k, w.ended[k])
	}
}

func (w *world) Ended(it *Item, how End) {
	n := it.Owner.(*note)
	if how == Expired && (it.Expires == 0 || it.Expires > w.now.Wall) {
		w.fail("%v has not expired", n.key())
	}
	if how == Crowded && w.mode != Off {
		w.fail("%v is given up for want of memory", n.key())
	}
	w.end(n, fmt.Sprint("without a verdict ", how))
}

func (w *world) Ruled(n *Line, r Ruling) {}

func (w *world) arrive(dev int) {
	n := &note{topic: dev % topics, device: dev, seq: w.arrived[dev]}
	w.arrived[dev]++
	n.Item = Item{Owner: n, Token: token(dev), Size: 1}
	if w.rnd.IntN(12) == 0 {
		n.Expires = w.now.Wall + int64(w.rnd.IntN(300))
	}
	n.broken = w.rnd.IntN(150) == 0
	if w.rnd.Float64() < w.sick {
		w.poison[n.key()] = []Class{Failed, Failed, Strange, Malformed, Unlooked, CredentialRefused}[w.rnd.IntN(6)]
	}
	w.held = append(w.held, n)
	w.offer()
}

// offer is what sessions do while there is room.
func (w *world) offer() {
	for len(w.held) > 0 && !w.Full() {
		n := w.held[0]
		w.held = w.held[1:]
		w.memory++
		w.log("arrive %v", n.key())
		w.live[n] = true
		n.Line = w.lane.Line(fmt.Sprint(n.topic))
		w.lane.Arrive(&n.Item, w.now)
	}
}

func (w *world) answer(i int) {
	n := w.flight[i]
	w.flight = slices.Delete(w.flight, i, i+1)
	k := n.key()
	c := Accepted
	switch {
	case w.down != Accepted:
		c = w.down
	case w.refused[n.topic] != Accepted:
		c = w.refused[n.topic]
	case w.badToken[n.device]:
		c = BadToken
	case w.throttled[n.device]:
		c = Throttled
	case w.poison[k] != 0:
		c = w.poison[k]
	}
	w.busy[n.device] = false
	if c == NoConnection || w.rnd.IntN(20) == 0 { // as a pool does before each request
		if w.lane.Troubled() && !w.lane.Admit(&n.Item, w.now) {
			w.log("not admitted %v", k)
			return
		}
	}
	if c == NoAnswer {
		if w.silent[k]++; w.silent[k] > 2+2*w.crashes {
			w.fail("%v is asked %d times without an answer", k, w.silent[k])
		}
	}
	if c == Strange {
		w.strange[k]++
	}
	suspect := w.lane.Line(fmt.Sprint(n.topic)).Door.Reason == Suspect
	w.log("answer %v %d", k, c)
	w.asked, w.behind = k, false
	if c == Accepted && w.rnd.IntN(10) == 0 { // it was answered without asking APNs
		w.lane.Spare(&n.Item, w.now)
		w.asked = key{-1, 0}
		w.end(n, "spared")
		w.finish = append(w.finish, n)
		return
	}
	at := c == Accepted && w.rnd.IntN(2) == 0
	fate, gone := w.lane.Answered(&n.Item, c, at, w.now)
	w.asked = key{-1, 0}
	if fate == Waits {
		if w.behind && w.ended[k] == 0 {
			w.fail("%v waits, and the one behind it was sent", k)
		}
		return
	}
	if c == BadToken && suspect {
		w.fail("%v is believed to be bad", k)
	}
	w.end(n, fmt.Sprint("fate ", fate))
	switch {
	case gone:
		w.gone(&n.Item)
	case fate == Over && at: // Gone follows
	default:
		w.finish = append(w.finish, n)
	}
}

func (w *world) finishOne(i int) {
	n := w.finish[i]
	w.finish = slices.Delete(w.finish, i, i+1)
	if w.lane.Finish(&n.Item) {
		w.gone(&n.Item)
	}
}
