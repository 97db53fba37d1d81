package conversation

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"apnsbridge/binproto"
)

// world is one history: providers, the network, a gateway around the real ledger, and APNs,
// all on one simulated clock. It knows what every device should have got.
type world struct {
	rng    *rand.Rand
	short  *rand.Rand // decides when memory is short
	start  time.Time
	now    time.Duration
	events agenda
	order  int
	harsh  bool // connections stay unread for long
	lossy  bool // the network breaks connections
	leave  bool // some devices have gone
	near   bool // a round trip is shorter than the gateway's wait for silence

	ledger  *Ledger
	stats   Stats // of the ledgers before the latest restart
	ticking time.Duration
	links   []*link
	down    bool
	address netip.Addr
	put     map[tomb]int // put into the spool since the last orderly shutdown
	graves  map[tomb]int // in the spool at the last kill, and not seen again since
	window  int          // frames that the gateway takes without a verdict
	kernel  int          // frames that each kernel has room for, each way

	want    map[content]int // good notifications, as often as their program sent them
	got     map[content]int // deliveries
	told    map[content]bool
	disk    map[string]Record
	excused map[content]bool // not delivered through no fault of the ledger
	held    int              // contents taken and not released
	wrong   string           // what the ledger did that it never may
	trace   []string
	tracing bool
}

// content is what a notification says, and to whom. It is comparable; token and payload are
// made from it.
type content struct {
	user    uint32
	payload uint32
}

// bad reports whether APNs refuses the user's token.
func (c content) bad() bool { return c.user%badEvery == 0 }

// gone reports whether the user's device is gone. The provider is not told that as a failure.
func (w *world) gone(c content) bool { return w.leave && !c.bad() && c.user%badEvery%7 == 3 }

const badEvery = 1 << 8 // users are drawn so that the share of bad ones is right

// message is a content taken by the gateway.
type message struct {
	content
	forwarded bool
	settled   bool // the gateway owes no verdict any more
	released  bool
	name      tomb
}

func (c content) Token() []byte   { return binary.BigEndian.AppendUint32(make([]byte, 28, 32), c.user) }
func (c content) Payload() []byte { return fmt.Appendf(nil, `{"aps":{"alert":"%d"}}`, c.payload) }

func newWorld(seed uint64) *world {
	w := &world{
		rng:   rand.New(rand.NewPCG(seed, 1)),
		short: rand.New(rand.NewPCG(seed, 2)),
		start: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), ticking: never,
		want: map[content]int{}, got: map[content]int{}, told: map[content]bool{}, excused: map[content]bool{}, disk: map[string]Record{}, put: map[tomb]int{},
		address: home,
	}
	o := defaultOptions()
	o.Client, o.Durable = "client", true
	w.ledger = New(o, w.start)
	w.window, w.kernel = 1000, 1000
	if w.chance(0.5) {
		w.window, w.kernel = 20+w.rng.IntN(100), 5+w.rng.IntN(60)
	}
	return w
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type agenda []*event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(*event)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	return x
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.events, &event{w.now + d, w.order, do})
}

// run lets the events happen, in order, until none is left or something is wrong.
func (w *world) run() {
	for len(w.events) > 0 && w.wrong == "" {
		e := heap.Pop(&w.events).(*event)
		w.now = e.at
		e.do()
		if n := len(w.links); n > 0 { // memory may be short at any time
			if c := w.links[w.short.IntN(n)].conn; c != nil {
				c.Spare()
			}
		}
		w.obey()
	}
}

func (w *world) clock() time.Time { return w.start.Add(w.now) }

func (w *world) log(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf("%12v ", w.now)+fmt.Sprintf(format, args...))
	}
}

// between draws a duration from a to b, uniformly.
func (w *world) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rng.Int64N(int64(b-a)+1))
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// obey carries out the ledger's decisions, and schedules a tick for its deadline.
func (w *world) obey() {
	l := w.ledger
	for d, ok := l.Next(); ok; d, ok = l.Next() {
		w.carryOut(d)
	}
	at, ok := l.Deadline()
	if !ok {
		return
	}
	due := max(at.Sub(w.start), w.now)
	if due < w.ticking || w.ticking <= w.now {
		w.ticking = due
		w.after(due-w.now, func() {
			if w.ledger == l {
				l.Tick(w.clock())
			}
		})
	}
}

func (w *world) carryOut(d Decision) {
	m, _ := d.Content.(*message)
	switch d.Do {
	case Release:
		if m.released || m.forwarded && !m.settled {
			w.wrong = fmt.Sprintf("released %v, released before: %v, settled: %v", m.content, m.released, m.settled)
		}
		m.released = true
		w.held--
		if l := d.Conn.Owner.(*link); len(l.unread) > 0 {
			w.after(0, l.readOn) // there is room in the window
		}
		w.log("released %v", m.content)
	case Forward:
		w.log("forward %v after all", m.content)
		w.forward(d.Conn, d.Seq, m)
	case TakeOver:
		if !m.forwarded || m.settled {
			w.wrong = fmt.Sprintf("took over %v, forwarded: %v, settled: %v", m.content, m.forwarded, m.settled)
		}
		w.log("take over %v", m.content)
		m.settled = true
	case Packet:
		w.store(d.Records)
		l, status, identifier := d.Conn.Owner.(*link), d.Status, d.Identifier // not d, which would be on the heap every time
		// The records are committed first.
		w.after(w.between(0, 3*time.Millisecond), func() { l.sendPacket(status, identifier) })
	case Close:
		d.Conn.Owner.(*link).sendClose()
	case Persist:
		w.store(d.Records)
	case Feedback:
		w.log("feedback for user %d", binary.BigEndian.Uint32(d.Token[28:]))
		w.tellUser(binary.BigEndian.Uint32(d.Token[28:]))
	}
}

func (w *world) store(rs []Record) {
	for _, r := range rs {
		if r.Value == nil {
			delete(w.disk, string(r.Key))
		} else {
			w.disk[string(r.Key)] = r
		}
	}
}

// tellUser notes that somebody has been told that a user's token is bad.
func (w *world) tellUser(user uint32) { w.told[content{user: user}] = true }

// forward sends m to APNs, whose verdict comes in its own time.
func (w *world) forward(c *Conn, s Seq, m *message) {
	if m.forwarded {
		w.wrong = fmt.Sprintf("forwarded %v twice", m.content)
	}
	m.forwarded = true
	latency := w.between(2*time.Millisecond, 150*time.Millisecond)
	if w.chance(0.01) {
		latency = w.between(time.Second, 15*time.Second)
	}
	if w.chance(0.01) && !m.bad() && !w.gone(m.content) {
		// 429 or 503: the spool has it from now on.
		w.after(w.between(0, 50*time.Millisecond), func() {
			if !m.settled {
				m.settled = true
				c.Settle(s, Spooled, w.clock())
			}
		})
	}
	w.after(latency, func() { w.verdict(c, s, m) })
}

func (w *world) verdict(c *Conn, s Seq, m *message) {
	settle := !m.settled
	m.settled = true
	switch {
	case w.gone(m.content):
		if settle {
			w.put[m.name]--
			c.Settle(s, Gone, w.clock())
		}
	case m.bad() && settle:
		w.put[m.name]-- // it was not delivered
		c.Refuse(s, binproto.InvalidToken, "", w.clock())
	case m.bad():
		w.tellUser(m.user)
	default:
		w.log("delivered %v", m.content)
		w.got[m.content]++
		if settle {
			c.Settle(s, Accepted, w.clock())
		}
	}
}

// lost and doubled compare what devices got with what they should have got.
func (w *world) lost() (n int) {
	for c, want := range w.want {
		if !c.bad() && !w.gone(c) && !w.excused[c] {
			n += max(0, want-w.got[c])
		}
	}
	return n
}

func (w *world) doubled() (n int) {
	for c, got := range w.got {
		n += max(0, got-w.want[c])
	}
	return n
}

// untold lists the users with a bad token of which nobody was told.
func (w *world) untold() (tokens []uint32) {
	users := map[uint32]bool{}
	for c := range w.want {
		if c.bad() && !users[c.user] && !w.told[content{user: c.user}] {
			users[c.user] = true
			tokens = append(tokens, c.user)
		}
	}
	return tokens
}
