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

// client is one client of an app over all its connections: its ledger knows
// what it was told and may therefore send again. The client's lock is that of
// all its sessions.
type client struct {
	app *app

	mu       sync.Mutex
	ledger   *conversation.Ledger
	pace     pace.Pace
	sessions int
	watched  map[*Session]struct{} // those that wait for room, or for their end
	touched  []*Session            // of these, the ones for which that may have come
	freed    int64                 // bytes of notifications that are not needed any more
	busy     bool                  // decisions are being carried out
	last     uint32                // the identifier of the latest frame that has one
	several  bool                  // there was one
}

// during lets an event happen to the client, and does what follows from it.
func (c *client) during(event func(now time.Time)) {
	now := c.app.bridge.now()
	c.mu.Lock()
	event(now)
	c.carryOut()
}

// carryOut does what the ledger has decided, in its order, and wakes those who
// wait for it. c.mu is held, and free afterwards and whenever something is done,
// for peers, upstreams and other sessions may call back. Whoever comes while
// another is at it leaves it to that one.
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

// nextDecision gives the next decision that is not to be done under the lock.
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

// names reports whether the identifier of a frame is not that of the one before it,
// over all the client's connections: else it names no one of them.
func (c *client) names(f *binproto.Notification) bool {
	if !f.HasIdentifier {
		return false
	}
	same := c.several && c.last == f.Identifier
	c.last, c.several = f.Identifier, true
	return !same
}

// drop says that one of those who hold n does not need it any more.
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

// touch notes that what s waits for may have come, if it waits for anything.
func (c *client) touch(s *Session) {
	if (s.parked || s.gone) && !s.touched {
		s.touched = true
		c.touched = append(c.touched, s)
	}
}

// lookAtTouched finds the sessions that can read on, and those that are over.
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

// forgettable reports whether a client without a session need not be kept: nothing
// is known of it, or there are too many.
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

// bringBack makes the clients of which an earlier run has left something in log that
// comes to its end by itself: a bad token that was told and perhaps not read goes to the
// feedback list, though its provider may never come again. b.mu is held.
func (b *Bridge) bringBack(log *ledgerlog.Log) {
	for _, name := range log.Unfinished() {
		app, id, _ := strings.Cut(name, " ")
		if a := b.apps[app]; a != nil && a.configured && a.log.Load() == log {
			b.clientOf(a, Origin{App: app, Client: id})
		}
	}
}

// clientOf finds or makes the client behind an origin. b.mu is held.
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

// restore gives the client what was written of it. c.mu is held, or nothing else knows c yet.
func (c *client) restore(log *ledgerlog.Log, key clientKey) {
	b := c.app.bridge
	if err := log.Restore(c.ledger, key.recordName(), b.now()); err != nil {
		b.log.Error().Err(err).Str("app", key.app).Msg("a part of the resend ledger is of no use")
	}
}
