package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/h2conn"
)

// pool is an upstream over connections of its own to one endpoint: few at first,
// and more as far as they are needed. Records wait in one queue. A single
// goroutine fills the connections from it, as many streams and bytes at a time
// as each has room for.
//
// No method of a connection is called under the pool's lock, and none of
// anybody else.
type pool struct {
	target   target
	tokens   *bearer // nil with a certificate
	limits   Limits
	answered func(*record, verdict)
	log      zerolog.Logger
	app      string

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{} // for run

	// Of run alone.
	prefixes prefixes
	batch    []*attempt
	requests []*h2conn.Request

	mu       sync.Mutex
	queue    recordQueue
	all      []*poolConn
	inUse    []*poolConn // serving and aged; never changed, only replaced
	openings openings
	retired  bool
	spent    time.Time // of the bridge's clock: since when it has had nothing to do, retired
	idle     []*attempt
	counts   poolCounts
}

func newPool(b *Bridge, conf App, env Environment, tokens *bearer, answered func(*record, verdict)) *pool {
	p := &pool{
		target: newTarget(conf, env), tokens: tokens, limits: b.limits, answered: answered,
		log: b.log.With().Str("app", conf.Name).Logger(), app: conf.Name,
		wake:     make(chan struct{}, 1),
		openings: openings{limit: b.limits.Connections, interval: b.limits.DialInterval},
	}
	p.prefixes.authority = p.target.authority
	p.ctx, p.cancel = context.WithCancel(b.ctx)
	p.wg.Go(p.run)
	return p
}

func (p *pool) Send(r *record) {
	p.mu.Lock()
	p.queue.push(r)
	p.mu.Unlock()
	p.rouse()
}

func (p *pool) Renew(refused string) {
	if p.tokens == nil || !p.tokens.renew(refused) {
		return
	}
	p.mu.Lock()
	p.leaveAll()
	p.mu.Unlock()
	p.rouse()
}

func (p *pool) Retire() {
	p.mu.Lock()
	p.retired = true
	p.openings.hurry(time.Now())
	p.mu.Unlock()
	p.rouse()
}

func (p *pool) Close() {
	p.cancel()
	p.wg.Wait()
	p.mu.Lock()
	left := p.queue.takeAll()
	p.mu.Unlock()
	p.fail(left, "the pool is closed")
}

// rouse has run look again. It is cheap while run has not yet done so.
func (p *pool) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run fills connections, opens and leaves them, until the pool is closed.
func (p *pool) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		filled := p.fill()
		wait := p.tend(time.Now())
		if filled && p.ctx.Err() == nil {
			continue
		}
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-p.wake:
		case <-timer.C:
		case <-p.ctx.Done():
			return
		}
	}
}

// fill gives each connection what it has room for. It says whether there may be
// more to give.
func (p *pool) fill() (filled bool) {
	p.mu.Lock()
	conns := p.inUse
	if p.queue.empty() {
		conns = nil
	}
	p.mu.Unlock()
	for _, c := range conns {
		filled = p.fillOne(c) || filled
	}
	return filled
}

func (p *pool) fillOne(c *poolConn) (filled bool) {
	room, bytes := c.room()
	if room == 0 || !p.take(room, bytes) {
		return false
	}
	p.prepare()
	rest := p.requests
	for len(rest) > 0 {
		n, err := c.conn.Submit(rest)
		rest = rest[n:]
		var bad *h2conn.RequestError
		if !errors.As(err, &bad) {
			break
		}
		a := rest[0].Owner.(*attempt)
		rest = rest[1:]
		p.answered(a.record, verdict{class: held, reason: bad.Error()})
		p.free(a)
	}
	p.putBack(rest)
	return len(rest) < len(p.requests) || len(p.requests) == 0 // the first ones may all have been spared
}

// take takes records from the queue into p.batch, no more than there is room for.
func (p *pool) take(room int, bytes int64) bool {
	p.batch = p.batch[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.batch) < room && bytes > 0 && !p.queue.empty() {
		var a *attempt
		if n := len(p.idle); n > 0 {
			a, p.idle = p.idle[n-1], p.idle[:n-1]
		} else {
			a = newAttempt()
		}
		a.record = p.queue.pop()
		bytes -= int64(len(a.record.Payload()))
		p.batch = append(p.batch, a)
	}
	p.counts.inFlight += len(p.batch)
	return len(p.batch) > 0
}

// prepare makes p.requests of p.batch, without the records for which there is
// nothing to ask.
func (p *pool) prepare() {
	p.requests = p.requests[:0]
	var bearer string
	var err error
	if p.tokens != nil {
		bearer, err = p.tokens.current()
	}
	for _, a := range p.batch {
		r := a.record
		if !r.begin() {
			p.free(a)
			continue
		}
		r.bearer = bearer
		var prefix *h2conn.Prefix
		problem := err
		if problem == nil {
			prefix, problem = p.prefixes.find(bearer, &r.request)
		}
		if problem != nil {
			p.answered(r, verdict{class: held, reason: problem.Error()})
			p.free(a)
			continue
		}
		a.write(prefix, r)
		p.requests = append(p.requests, &a.Request)
	}
}

// putBack gives requests back that the connection has not taken after all: it
// has just been told to do less.
func (p *pool) putBack(rest []*h2conn.Request) {
	if len(rest) == 0 {
		return
	}
	p.mu.Lock()
	for _, q := range slices.Backward(rest) {
		a := q.Owner.(*attempt)
		a.record.unbegin()
		p.queue.putBack(a.record)
		a.clear()
		p.idle = append(p.idle, a)
	}
	p.counts.inFlight -= len(rest)
	p.mu.Unlock()
}

// free ends an attempt that did not reach a connection.
func (p *pool) free(a *attempt) {
	a.clear()
	p.mu.Lock()
	p.idle = append(p.idle, a)
	p.counts.inFlight--
	p.mu.Unlock()
}

// fail answers records for which there is no connection.
func (p *pool) fail(r *record, reason string) {
	for r != nil {
		next := r.queued
		r.queued = nil
		p.answered(r, verdict{class: unreachable, reason: reason})
		r = next
	}
}
