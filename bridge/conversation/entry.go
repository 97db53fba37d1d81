package conversation

import (
	"time"

	"apnsbridge/binproto"
)

// entry is a notification that its provider counts as not sent although it was taken. It
// swallows one frame with the same content.
type entry struct {
	key      key
	episode  *episode
	habit    *habit // of the kind that wrote the frame
	older    *entry // with the same key
	younger  *entry
	before   *entry // of all live ones, by age
	behind   *entry
	origin   place // of the notification, until it has its verdict
	follower place // of the frame that was swallowed before that
	refusal  *refusal
	frame    name
	expiry   uint32
	index    int // among the episode's entries
	state    state
	constant bool // its identifier is that of a neighbour
	indexed  bool // it can still swallow a frame
	listed   bool // its refusal went to the feedback list
	noteless bool // it was remembered instead of being noted
}

// place is a notification in the window of a connection.
type place struct {
	conn *Conn
	seq  Seq
}

type state uint8

const (
	pending state = iota
	accepted
	refused
)

// refusal is what was said of a notification that was refused. token is nil if the
// refusal says nothing about the device.
type refusal struct {
	token  []byte
	time   time.Time
	why    string // APNs' reason; empty: none, or it was before a restart
	device Device // the notification's
	status binproto.Status
}

// live reports whether e can still swallow a frame.
func (e *entry) live() bool { return e != nil && e.indexed }

// chain is the live entries with one key, or all of them, oldest first.
type chain struct{ oldest, youngest *entry }

func (l *Ledger) index(e *entry) {
	c := l.byKey[e.key]
	if e.older = c.youngest; e.older != nil {
		e.older.younger = e
	} else {
		c.oldest = e
	}
	c.youngest = e
	l.byKey[e.key] = c
	if e.before = l.live.youngest; e.before != nil {
		e.before.behind = e
	} else {
		l.live.oldest = e
	}
	l.live.youngest = e
	e.indexed = true
	e.episode.live++
	l.account(entryBytes)
}

func (l *Ledger) unindex(e *entry) {
	c := l.byKey[e.key]
	if e.older != nil {
		e.older.younger = e.younger
	} else {
		c.oldest = e.younger
	}
	if e.younger != nil {
		e.younger.older = e.older
	} else {
		c.youngest = e.older
	}
	if c.oldest == nil {
		delete(l.byKey, e.key)
	} else {
		l.byKey[e.key] = c
	}
	if e.before != nil {
		e.before.behind = e.behind
	} else {
		l.live.oldest = e.behind
	}
	if e.behind != nil {
		e.behind.before = e.before
	} else {
		l.live.youngest = e.before
	}
	e.older, e.younger, e.before, e.behind, e.indexed = nil, nil, nil, nil, false
	e.episode.live--
	e.episode.entries[e.index-e.episode.first] = nil
	e.episode.trim()
	l.account(-entryBytes)
}

// trim drops the empty places before the oldest live entry.
func (e *episode) trim() {
	gone := 0
	for gone < len(e.entries) && e.entries[gone] == nil {
		gone++
	}
	e.entries, e.first = e.entries[gone:], e.first+gone
}

// giveUp forgets e. If it was refused, no provider is left to be told, so it is listed.
func (l *Ledger) giveUp(e *entry) {
	l.unindex(e)
	l.list(e)
}

// list puts e on the feedback list, if it was refused.
func (l *Ledger) list(e *entry) {
	if e.state == refused && !e.listed {
		l.feedback(e.refusal)
		e.listed = true
	}
}

// settled gives the verdict v on its original to e, and to the frame that follows e.
func (l *Ledger) settled(e *entry, v verdict, t instant) {
	e.episode.base = max(e.episode.base, t)
	l.changed(e.episode, t)
	if e.episode.pending--; e.episode.pending == 0 && e.episode.stage > reading {
		l.due = min(l.due, t)
	}
	e.origin = place{}
	switch v.outcome {
	case Accepted, Spooled:
		e.state = accepted
	case refusedOutcome:
		e.state, e.refusal = refused, v.refusal
	}
	follower := e.follower
	e.follower = place{}
	switch {
	case follower.conn != nil && (v.outcome == Expired || v.outcome == Dropped):
		l.stats.SentAfterAll++
		follower.conn.forward(follower.seq, e.expiry)
	case follower.conn != nil:
		follower.conn.settle(follower.seq, v, t)
	case !e.indexed:
		if v.outcome == refusedOutcome {
			l.feedback(v.refusal)
		}
	case e.episode.cause == reset: // then only what has no verdict is recognised
		l.giveUp(e)
	case !v.outcome.delivered() && v.outcome != refusedOutcome:
		l.excuse(e)
	}
}

// excuse forgets e, whose original was not delivered.
func (l *Ledger) excuse(e *entry) {
	e.episode.excused++
	e.episode.outdate(stale{e.key, e.index})
	l.unindex(e)
}
