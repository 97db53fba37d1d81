// Package apnssim is an HTTP/2 server that behaves like APNs, on the real wire,
// for tests, benchmarks, the demo and the sim command.
//
//	sim, err := apnssim.Start(apnssim.Config{})
//	// point a client that trusts sim.CA() at sim.URL(), then
//	err = sim.Wait(ctx, func(s apnssim.Stats) bool { return s.Accepted == 100 })
//	for _, push := range sim.Received(0).Pushes { … }
//
// It is well-behaved unless its Scenario says otherwise: every device token is
// that of an active device, except those that begin with bad0 (400
// BadDeviceToken) and dead (410 Unregistered), and those set with SetDevice.
package apnssim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a simulator needs to start. Everything has a default.
type Config struct {
	Listen      string          // host:port, default 127.0.0.1:0
	Listener    net.Listener    // instead of Listen; the simulator closes it
	Certificate tls.Certificate // what the simulator shows to its clients; default one of its own, for loopback
	ClientCAs   *x509.CertPool  // if set, a client certificate of these stands for a provider token
	Scenario    Scenario
	Now         func() time.Time // for the age of provider tokens and the timestamps of 410; default time.Now

	Keep        int // pushes kept for Received, the oldest are forgotten; default 2,000,000, less than 0: none
	Remember    int // accepted pushes of which a hash is kept to find duplicates; default 10,000,000
	Connections int // open at once, more are closed before TLS; default 10,000
}

// Simulator is a running server. Its methods may be called from any goroutine.
type Simulator struct {
	tls         *tls.Config
	listener    net.Listener
	now         func() time.Time
	record      record
	devices     devices
	counts      counts
	connections int

	script   atomic.Pointer[script]
	accepted atomic.Pointer[func(Push)]

	mu     sync.Mutex // conns, number, closed, and the order of scenarios
	conns  map[*conn]struct{}
	number int
	closed bool

	running sync.WaitGroup
}

// Start listens and serves until Close.
func Start(config Config) (*Simulator, error) {
	script, err := newScript(config.Scenario)
	if err != nil {
		return nil, err
	}
	if len(config.Certificate.Certificate) == 0 {
		if config.Certificate, err = selfSigned(time.Now()); err != nil {
			return nil, fmt.Errorf("apnssim: %w", err)
		}
	}
	s := &Simulator{
		tls: &tls.Config{
			Certificates: []tls.Certificate{config.Certificate},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"h2", "http/1.1"}, // which is told so
		},
		listener:    config.Listener,
		now:         config.Now,
		connections: positive(config.Connections, 10_000),
		conns:       make(map[*conn]struct{}),
	}
	if config.ClientCAs != nil {
		s.tls.ClientAuth, s.tls.ClientCAs = tls.VerifyClientCertIfGiven, config.ClientCAs
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.record.init(config.Keep, positive(config.Remember, 10_000_000))
	s.script.Store(script)
	if s.listener == nil {
		address := config.Listen
		if address == "" {
			address = "127.0.0.1:0"
		}
		if s.listener, err = net.Listen("tcp", address); err != nil {
			return nil, fmt.Errorf("apnssim: %w", err)
		}
	}
	s.running.Go(s.accept)
	return s, nil
}

func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// Addr is host:port of the listener.
func (s *Simulator) Addr() string { return s.listener.Addr().String() }

// URL is what a client takes for Apple's https://api.push.apple.com.
func (s *Simulator) URL() string { return "https://" + s.Addr() }

// SetDevice says what is known of a device; see Device.
func (s *Simulator) SetDevice(d Device) error { return s.devices.set(d) }

// OnAccepted has f called with each push that is accepted from now on. f gets its
// own copy of the payload and must not block. There is one f at a time.
func (s *Simulator) OnAccepted(f func(Push)) { s.accepted.Store(&f) }

// SetScenario replaces the scenario, also for the connections that are open:
// their counts of requests begin anew, and changed limits go out as SETTINGS.
func (s *Simulator) SetScenario(scenario Scenario) error {
	script, err := newScript(scenario)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script.Store(script)
	for c := range s.conns {
		c.perform(script)
	}
	return nil
}

// Received gives the pushes with a Seq greater than since, in the order in
// which they were judged.
func (s *Simulator) Received(since int) Received { return s.record.received(since) }

// Reset forgets what was received, what is a duplicate of it, and their
// counts in Stats. Seq goes on.
func (s *Simulator) Reset() { s.record.reset() }

// Stats is a snapshot of the counters.
func (s *Simulator) Stats() Stats {
	stats := s.counts.stats()
	s.record.stats(&stats)
	return stats
}

// Wait returns nil as soon as done says so of the simulator's Stats, which it
// is asked whenever they may have changed, and an error when ctx ends first.
func (s *Simulator) Wait(ctx context.Context, done func(Stats) bool) error {
	for {
		changed := s.record.changed()
		stats := s.Stats()
		if done(stats) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("apnssim: %w while waiting; %+v", ctx.Err(), stats)
		}
	}
}

// Close ends the listener and all connections and waits for their goroutines.
// What was received can still be asked for.
func (s *Simulator) Close() error {
	s.mu.Lock()
	s.closed = true
	err := s.listener.Close()
	for c := range s.conns {
		c.raw.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
