package conversation

import (
	"time"
)

// Options are the bounds of a Ledger.
type Options struct {
	Client     string        // distinguishes the Records of this client from those of others
	Budget     *Budget       // shared by all clients
	Bytes      int64         // for this one
	Life       time.Duration // how long a notification is remembered for a provider not known to send again
	ProvenLife time.Duration // and for one that is
	Durable    bool          // there is a store: a Packet carries the Record of its episode
}

// Ledger is what is known of one client, over all its connections: which notifications it
// may send again, and whether it is of a kind that does.
//
// The owner guards a Ledger and its Conns with one lock.
type Ledger struct {
	options    Options
	epoch      time.Time
	habits     map[Kind]*habit
	episodes   []*episode // oldest first
	byKey      map[key]chain
	live       chain              // the entries of byKey
	lists      map[key][]*episode // by the failed notification
	notes      notes
	open       int     // episodes whose connection the provider has not ended
	due        instant // when expire has something to do, at the earliest
	saveAt     instant // when save has something to do
	stuck      []*Conn // that have, or had, a failure waiting behind a head
	frames     uint64  // of all connections
	lastNumber int64
	conns      uint64 // opened so far
	bytes      int64
	scratch    []byte
	out        queue
	stats      Stats
}

// instant is a time since the ledger was made.
type instant = time.Duration

// New makes a ledger that knows nothing.
func New(o Options, now time.Time) *Ledger {
	return &Ledger{
		options: o, epoch: now, due: never, saveAt: never,
		habits: make(map[Kind]*habit), byKey: make(map[key]chain), lists: make(map[key][]*episode),
	}
}

func (l *Ledger) at(now time.Time) instant { return now.Sub(l.epoch) }

// Next gives the decisions that events have led to, in order. It has to be called after
// every event until ok is false.
func (l *Ledger) Next() (d Decision, ok bool) { return l.out.next() }

// Deadline is when Tick has something to do, if nothing happens before that.
func (l *Ledger) Deadline() (at time.Time, ok bool) {
	due := min(l.due, l.saveAt)
	for _, c := range l.stuck {
		due = min(due, c.stuck)
	}
	if l.overdrawn() && l.live.oldest != nil {
		due = 0
	}
	if due == never {
		return at, false
	}
	return l.epoch.Add(due), true
}

// Tick does what has become due.
func (l *Ledger) Tick(now time.Time) {
	t := l.at(now)
	if t >= l.due {
		l.expire(t)
	}
	if t >= l.saveAt {
		l.save(t)
	}
	for l.overdrawn() && l.evict(nil) {
	}
	waiting := l.stuck
	l.stuck = nil
	for _, c := range waiting {
		if c.owed > 0 && t >= c.stuck {
			c.takeOverHeads(t)
		}
		if c.listed = c.stuck != never; c.listed {
			l.stuck = append(l.stuck, c)
		}
	}
}

// feedback puts the token of r on the feedback list, if r says that the token is bad.
func (l *Ledger) feedback(r *refusal) {
	if r.token != nil {
		l.out.put(Decision{Do: Feedback, Token: r.token, Time: r.time})
	}
}

func (l *Ledger) isNever(k Kind, t instant) bool {
	h := l.habits[k]
	return h != nil && h.isNever(l.epoch.Add(t))
}
