package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"apnsbridge/bridge/h2conn"
)

// The next address is tried while those before it still are (RFC 8305, 5): soon
// where not even TCP answers, later where TLS and HTTP/2 are under way.
const (
	connectDelay = 250 * time.Millisecond
	settleDelay  = 2 * time.Second
)

const (
	maxAddresses = 8                // of a name, tried for a connection
	avoidFor     = 10 * time.Minute // an address that was no good is tried behind the others
)

// open makes a connection to one of the target's addresses, and returns it once
// the server's SETTINGS are known: before that it is not known how many streams it
// allows, and a server that accepts TCP and says nothing is none. Names are looked
// up each time.
func (t *target) open(ctx context.Context, cfg h2conn.Config) (*h2conn.Conn, netip.AddrPort, error) {
	if t.unusable != nil {
		return nil, netip.AddrPort{}, t.unusable
	}
	cfg.TLS = t.tls
	if t.proxy != nil {
		cfg.DialContext = t.dialProxy
		conn, err := t.try(ctx, t.address, cfg, func() {})
		return conn, netip.AddrPort{}, err
	}
	addresses, err := t.lookUp(ctx)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	r := race{target: t, cfg: cfg, addresses: t.best(addresses), ends: make(chan racer, len(addresses))}
	return r.run(ctx)
}

// try makes a connection to one address. connected is called when TCP is.
func (t *target) try(ctx context.Context, address string, cfg h2conn.Config, connected func()) (*h2conn.Conn, error) {
	opened := make(chan struct{})
	var once sync.Once
	changed := cfg.Changed
	cfg.Changed = func(c *h2conn.Conn, state h2conn.State) {
		if state != h2conn.Opening {
			once.Do(func() { close(opened) })
		}
		if changed != nil {
			changed(c, state)
		}
	}
	dial := cfg.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	cfg.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := dial(ctx, network, address)
		if err == nil {
			connected()
		}
		return nc, err
	}
	conn, err := t.dial(ctx, address, cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-opened:
		if state, reason := conn.State(); state != h2conn.Open {
			err = fmt.Errorf("HTTP/2 with %s: %w", address, reason)
		}
	case <-ctx.Done():
		err = fmt.Errorf("HTTP/2 with %s: %w", address, h2conn.ErrNotReady)
	}
	if err != nil {
		conn.Close()
		<-conn.Done()
		return nil, err
	}
	return conn, nil
}

// race is the attempts at one connection, of which the first that succeeds is
// taken.
type race struct {
	target    *target
	cfg       h2conn.Config
	addresses []netip.AddrPort
	ends      chan racer

	started   int
	running   int
	connected []chan struct{} // by address: TCP is
	errs      []error         // by address
}

// racer is an attempt that has ended.
type racer struct {
	at   int // of the addresses
	conn *h2conn.Conn
	err  error
}

func (r *race) run(ctx context.Context) (*h2conn.Conn, netip.AddrPort, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.errs = make([]error, len(r.addresses))
	for range r.addresses {
		r.connected = append(r.connected, make(chan struct{}))
	}
	r.start(ctx)
	next := time.NewTimer(connectDelay)
	defer next.Stop()
	patient := false // the last one has its time for TLS and HTTP/2
	for r.running > 0 {
		select {
		case end := <-r.ends:
			r.running--
			if end.conn != nil {
				cancel()
				r.finish(end.at)
				return end.conn, r.addresses[end.at], nil
			}
			r.errs[end.at] = end.err
			r.target.avoid(r.addresses[end.at], time.Now())
			if end.at == r.started-1 && ctx.Err() == nil {
				r.start(ctx)
				patient = false
				next.Reset(connectDelay)
			}
		case <-next.C:
			if !patient && r.isConnected(r.started-1) {
				patient = true
				next.Reset(settleDelay - connectDelay)
				continue
			}
			r.start(ctx)
			patient = false
			next.Reset(connectDelay)
		}
	}
	err := errors.Join(r.errs...)
	for _, first := range r.errs { // the same each time, whichever is last
		if first != nil {
			err = first
			break
		}
	}
	if r.started > 1 {
		err = fmt.Errorf("%w (and %d more addresses are no better)", err, r.started-1)
	}
	return nil, netip.AddrPort{}, err
}

// start tries the next address, if there is one.
func (r *race) start(ctx context.Context) {
	if r.started == len(r.addresses) {
		return
	}
	at := r.started
	r.started++
	r.running++
	go func() {
		conn, err := r.target.try(ctx, r.addresses[at].String(), r.cfg, func() { close(r.connected[at]) })
		r.ends <- racer{at, conn, err}
	}()
}

func (r *race) isConnected(at int) bool {
	select {
	case <-r.connected[at]:
		return true
	default:
		return false
	}
}

// finish waits for those that have lost, which were told to end. Those that began
// before the winner and were not there in time are tried last from now on.
func (r *race) finish(winner int) {
	now := time.Now()
	for ; r.running > 0; r.running-- {
		end := <-r.ends
		if end.conn != nil {
			end.conn.Close()
			<-end.conn.Done()
		}
		if end.at < winner {
			r.target.avoid(r.addresses[end.at], now)
		}
	}
	r.target.forgive(r.addresses[winner])
}
