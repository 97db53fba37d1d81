package bridge

import (
	"strings"
	"sync"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/ledgerlog"
	"apnsbridge/bridge/pace"
)

// client is one client of an app over all its connections. Its ledger knows what the
// client was told and may therefore send again. All its sessions share its lock.
type client struct {
	app *app

	mu       sync.Mutex
	ledger   *conversation.Ledger
	pace     pace.Pace
	sessions int
	watched  map[*Session]struct{} // those that wait for room, or for their end
	touched  []*Session            // of these, the ones whose wait may be over
	freed    int64                 // bytes of notifications that are no longer needed
	busy     bool                  // decisions are being carried out
	last     uint32                // the identifier of the latest frame that has one
	several  bool                  // there has been such a frame
}

// during lets an event happen to the client under its lock, and does what follows from it.
func (c *client) during(event func(now time.Time)) {
	now := c.app.bridge.now()
	c.mu.Lock()
	event(now)
	c.carryOut()
}

// carryOut does what the ledger has decided, in order, and wakes the sessions that wait
// for it. The caller holds c.mu; carryOut releases it, and does not hold it while a
// decision is carried out, for peers, upstreams and other sessions may call back. If
// another goroutine is already carrying out decisions, that one does the rest.
func (c *client) carryOut() {
	if c.busy {
		c.mu.Unlock()
		return
	}
	c.busy = true
	for {
		d, decided := c.nextDecision()
		resumed, over := c.lookAtTouched()
		freed := c.freed
		c.freed = 0
		if !decided && freed == 0 && resumed == nil && over == nil {
			break
		}
		c.mu.Unlock()
		if decided {
			c.app.perform(d)
		}
		for _, s := range resumed {
			s.peer.Resume()
		}
		for _, s := range over {
			c.app.bridge.forget(s)
		}
		if freed > 0 {
			c.app.account.Give(freed)
		}
		c.mu.Lock()
	}
	c.busy = false
	c.mu.Unlock()
}

// nextDecision does what can be done under the lock, and gives the next decision that cannot.
func (c *client) nextDecision() (d conversation.Decision, ok bool) {
	for {
		d, ok = c.ledger.Next()
		if !ok || d.Do != conversation.Release {
			break
		}
		c.touch(d.Conn.Owner.(*Session))
		c.drop(d.Content.(*notification))
	}
	if ok && d.Do == conversation.Forward {
		d.Content.(*notification).holders++
		c.app.bridge.unsettled.Add(1)
	}
	return d, ok
}

// names reports whether a frame's identifier differs from that of the frame before it, over
// all the client's connections: if not, it does not tell the two apart.
func (c *client) names(f *binproto.Notification) bool {
	if !f.HasIdentifier {
		return false
	}
	same := c.several && c.last == f.Identifier
	c.last, c.several = f.Identifier, true
	return !same
}

// drop says that one of the holders of n no longer needs it.
func (c *client) drop(n *notification) {
	if n.holders--; n.holders == 0 {
		c.freed += n.Size
		n.free()
	}
}

// watch notes that s waits for room, or for its end.
func (c *client) watch(s *Session) {
	if c.watched == nil {
		c.watched = make(map[*Session]struct{})
	}
	c.watched[s] = struct{}{}
	c.touch(s)
}

// touch notes that the wait of s may be over, if it waits for anything.
func (c *client) touch(s *Session) {
	if (s.parked || s.gone) && !s.touched {
		s.touched = true
		c.touched = append(c.touched, s)
	}
}

// lookAtTouched finds the sessions that can read on, and those that have ended.
func (c *client) lookAtTouched() (resumed, over []*Session) {
	for _, s := range c.touched {
		s.touched = false
		if _, ok := c.watched[s]; !ok {
			continue
		}
		switch {
		case s.gone && s.talk.Len() == 0:
			over = append(over, s)
			c.sessions--
			delete(c.watched, s)
		case s.parked && s.canResume():
			s.parked = false
			resumed = append(resumed, s)
			delete(c.watched, s)
		}
	}
	c.touched = c.touched[:0]
	return resumed, over
}

// clientKey is what tells the clients of all apps apart.
type clientKey struct{ app, id string }

// recordName is the client's name in the ledger's records.
func (k clientKey) recordName() string { return k.app + " " + k.id }

// forgettable reports whether a client without a session need not be kept: nothing is
// remembered of it, or, if crowded, no more than its habits.
func (c *client) forgettable(crowded bool) bool {
	st := c.ledger.Stats()
	return st.Episodes == 0 && (st.Kinds == 0 || crowded)
}

func (b *Bridge) forgetClient(key clientKey, c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions > 0 || b.clients[key] != c {
		return
	}
	delete(b.clients, key)
	c.app.conversations.Add(c.ledger.Stats())
}

// bringBack makes the clients of which an earlier run has left something unfinished in log.
// A bad token that was told but perhaps not read then goes to the feedback list, even if its
// provider never comes again. The caller holds b.mu.
func (b *Bridge) bringBack(log *ledgerlog.Log) {
	for _, name := range log.Unfinished() {
		app, id, _ := strings.Cut(name, " ")
		if a := b.apps[app]; a != nil && a.configured && a.log.Load() == log {
			b.clientOf(a, Origin{App: app, Client: id})
		}
	}
}

// clientOf finds or makes the client behind an origin. The caller holds b.mu.
func (b *Bridge) clientOf(a *app, o Origin) *client {
	key := clientKey{a.name, o.Client}
	if c := b.clients[key]; c != nil {
		return c
	}
	c := &client{app: a, pace: pace.New(b.limits.ClientRate), ledger: conversation.New(conversation.Options{
		Client:     key.recordName(),
		Budget:     b.ledgerBudget,
		Bytes:      b.limits.LedgerBytesPerClient,
		Life:       b.limits.LedgerTTL,
		ProvenLife: b.limits.LedgerTTLProven,
		Durable:    b.fleet || b.ledgerLog.Durable(),
	}, b.now())}
	c.restore(a.log.Load(), key)
	b.clients[key] = c
	return c
}

// restore gives the client what was recorded of it. The caller holds c.mu, or nothing else
// knows c yet.
func (c *client) restore(log *ledgerlog.Log, key clientKey) {
	b := c.app.bridge
	if err := log.Restore(c.ledger, key.recordName(), b.now()); err != nil {
		b.log.Error().Err(err).Str("app", key.app).Msg("a part of the resend ledger cannot be read, and is ignored")
	}
}
