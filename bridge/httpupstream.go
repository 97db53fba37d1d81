package bridge

//lint:file-ignore SA1019 net/http's ClientConn, which is to replace it, knows neither PING nor a graceful end.

import (
	"context"
	"crypto/tls"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// httpUpstream is an upstream over x/net's HTTP/2. It reserves a stream before
// it asks, and queues what has none: x/net's own pool opens one connection after
// another where APNs allows one stream, and blocks for good if told not to.
type httpUpstream struct {
	base      string // https://host:port
	address   string // host:port to dial
	proxy     *url.URL
	tls       *tls.Config
	transport *http2.Transport
	tokens    *bearer // nil with a certificate
	limits    Limits
	answered  func(*record, verdict)

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	queue     recordQueue
	conns     []*httpConn
	running   int // workers, each with one request
	dialing   bool
	dialAfter time.Time // not before
	dialErr   error     // of the last dial
	waking    bool
	retired   bool
}

// httpConn is one connection and the streams reserved on it for nobody.
type httpConn struct {
	*http2.ClientConn
	spare int
}

func newHTTPUpstream(b *Bridge, conf App, env Environment, tokens *bearer, answered func(*record, verdict)) *httpUpstream {
	u := &httpUpstream{
		base: conf.endpoint(env), proxy: conf.Proxy, tokens: tokens, limits: b.limits, answered: answered,
		transport: &http2.Transport{
			DisableCompression: true,
			ReadIdleTimeout:    15 * time.Second,
			PingTimeout:        10 * time.Second,
		},
	}
	u.address, u.tls = target(u.base, conf)
	u.ctx, u.cancel = context.WithCancel(b.ctx)
	return u
}

func (u *httpUpstream) Send(r *record) {
	u.mu.Lock()
	u.queue.push(r)
	failed, err := u.pump()
	u.mu.Unlock()
	u.fail(failed, err)
}

func (u *httpUpstream) Renew(refused string) {
	if u.tokens == nil || !u.tokens.renew(refused) {
		return
	}
	u.mu.Lock()
	u.leaveConns()
	u.mu.Unlock()
}

func (u *httpUpstream) Retire() {
	u.mu.Lock()
	u.retired = true
	u.rest()
	u.mu.Unlock()
}

func (u *httpUpstream) Close() {
	u.cancel()
	u.mu.Lock()
	conns := u.conns
	u.conns = nil
	u.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
	u.wg.Wait()
}

// pump gives queued records to workers while there are streams. It returns those
// that cannot go because there is no connection, and why. u.mu is held.
func (u *httpUpstream) pump() (failed *record, err error) {
	for u.running < u.limits.Requests && !u.queue.empty() && u.ctx.Err() == nil {
		c := u.reserve()
		if c == nil {
			u.wakeSoon()
			return u.connect()
		}
		u.running++
		u.wg.Go(func() { u.work(c) })
	}
	return nil, nil
}

// wakeSoon pumps again where no worker will: x/net gives a stream free a moment
// after its answer, and tells nobody. u.mu is held.
func (u *httpUpstream) wakeSoon() {
	if u.running > 0 || len(u.conns) == 0 || u.waking {
		return
	}
	u.waking = true
	time.AfterFunc(time.Millisecond, func() {
		u.mu.Lock()
		u.waking = false
		failed, err := u.pump()
		u.mu.Unlock()
		u.fail(failed, err)
	})
}

// reserve finds a connection with a free stream, and leaves those that have
// ended. u.mu is held.
func (u *httpUpstream) reserve() *httpConn {
	for _, c := range u.conns {
		if c.reserve() {
			return c
		}
	}
	u.conns = slices.DeleteFunc(u.conns, func(c *httpConn) bool {
		st := c.State()
		ended := st.Closed || st.Closing
		if ended {
			u.wg.Go(func() { u.drain(c) })
		}
		return ended
	})
	return nil
}

func (c *httpConn) reserve() bool {
	if c.spare > 0 {
		c.spare--
		return true
	}
	return c.ReserveNewRequest()
}

// connect dials if it may. u.mu is held.
func (u *httpUpstream) connect() (failed *record, err error) {
	switch {
	case u.dialing || len(u.conns) >= u.limits.Connections:
		return nil, nil
	case time.Now().Before(u.dialAfter):
		if len(u.conns) > 0 {
			return nil, nil
		}
		return u.queue.takeAll(), u.dialErr
	}
	u.dialing = true
	u.wg.Go(u.dialOne)
	return nil, nil
}

// dialOne opens a connection and lets the queue go over it.
func (u *httpUpstream) dialOne() {
	c, err := u.dial()
	u.mu.Lock()
	u.dialing = false
	u.dialAfter = time.Now().Add(u.limits.DialInterval)
	u.dialErr = err
	if err == nil {
		u.conns = append(u.conns, &httpConn{ClientConn: c})
	}
	if u.ctx.Err() != nil {
		u.leaveConns()
	}
	u.rest()
	failed, err := u.pump()
	u.mu.Unlock()
	u.fail(failed, err)
}

// fail answers records that found no connection.
func (u *httpUpstream) fail(r *record, err error) {
	v := verdict{class: unreachable, reason: "the connection has just ended"}
	if err != nil {
		v.reason = err.Error()
	}
	for r != nil {
		next := r.queued
		r.queued = nil
		u.answered(r, v)
		r = next
	}
}

// work sends records over the stream reserved on c, one after the other, as long
// as there are any and the stream can be had again.
func (u *httpUpstream) work(c *httpConn) {
	for {
		u.mu.Lock()
		r := u.queue.pop()
		if r == nil {
			c.spare++
			u.running--
			u.rest()
			u.mu.Unlock()
			return
		}
		u.mu.Unlock()
		if !r.begin() {
			continue
		}
		u.answered(r, u.ask(c, r))
		u.mu.Lock()
		again := !u.queue.empty() && c.reserve()
		if !again {
			u.running--
		}
		failed, err := u.pump()
		if !again {
			u.rest()
		}
		u.mu.Unlock()
		u.fail(failed, err)
		if !again {
			return
		}
	}
}

// rest ends the connections of a retired upstream that has nothing to do. u.mu
// is held.
func (u *httpUpstream) rest() {
	if u.retired && u.running == 0 && u.queue.empty() && !u.dialing {
		u.leaveConns()
	}
}

// leaveConns gives no more requests to the connections there are, which end when
// theirs are answered. u.mu is held.
func (u *httpUpstream) leaveConns() {
	for _, c := range u.conns {
		u.wg.Go(func() { u.drain(c) })
	}
	u.conns = nil
}

// leave gives no more requests to c, on which one went without an answer: it
// may be dead, and a PING will take its time to say so.
func (u *httpUpstream) leave(c *httpConn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := slices.Index(u.conns, c); i >= 0 {
		u.conns = slices.Delete(u.conns, i, i+1)
		u.wg.Go(func() { u.drain(c) })
	}
}

// drain closes c when its requests are answered.
func (u *httpUpstream) drain(c *httpConn) {
	c.SetDoNotReuse()
	ctx, cancel := context.WithTimeout(u.ctx, u.limits.RequestTimeout)
	defer cancel()
	c.Shutdown(ctx)
	c.Close()
}
