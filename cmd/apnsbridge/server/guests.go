package server

import (
	"context"
	"sync/atomic"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/cmd/apnsbridge/report"
	"apnsbridge/fleet/link"
	"apnsbridge/gateway"
)

// pusher is the session of a provider that is on the roll.
type pusher struct {
	link.Session
	conn   *gateway.Conn
	seen   *report.Conn
	roll   *roll
	id     identification
	client string
	since  time.Time
	spoke  atomic.Bool // the provider has sent something
	silent atomic.Bool
}

func (p *pusher) end(within time.Duration) {
	p.conn.SpeakBy(time.Now().Add(within / 4 * 3)) // what is sent behind within is not taken
	p.Leave(0)
}

// silence lets what is on its way be read and counted but not taken, and then cuts the
// connection, even if the provider keeps sending.
func (p *pusher) silence() {
	const onItsWay = time.Second
	p.silent.Store(true)
	time.AfterFunc(onItsWay, p.conn.Cut)
}

// Push passes on to the session, until the provider is silenced.
func (p *pusher) Push(n *binproto.Notification) (room bool) {
	p.heard()
	if p.silent.Load() {
		p.roll.unheard.Add(1)
		return true
	}
	p.seen.See(n)
	return p.Session.Push(n)
}

// Reject passes on to the session, until the provider is silenced.
func (p *pusher) Reject(n *binproto.Notification, status binproto.Status) (room bool) {
	p.heard()
	if p.silent.Load() {
		p.roll.unheard.Add(1)
		return true
	}
	return p.Session.Reject(n, status)
}

// heard takes note that the provider has sent something.
func (p *pusher) heard() {
	if !p.spoke.Load() {
		p.spoke.Store(true)
	}
}

// Close also removes the provider from the roll.
func (p *pusher) Close(err error) {
	p.roll.leave(p.id, p)
	p.seen.Close()
	if !p.spoke.Load() && !p.silent.Load() {
		p.roll.wordless.ended(p.id.app, p.client, p.since)
	}
	p.Session.Close(err)
}

// feedbackReader is a client of the feedback port that is on the roll.
type feedbackReader struct{ cancel context.CancelFunc }

func (r *feedbackReader) end(time.Duration) { r.cancel() }
func (*feedbackReader) silence()            {}
