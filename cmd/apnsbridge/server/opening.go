package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/succession"
	"apnsbridge/fleet/link"
	"apnsbridge/gateway"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// start starts the parts in the order in which they need each other. If the sockets were
// passed to this process, another gateway may still have the store: then connections are
// accepted at once and wait after their handshakes.
func (s *Service) start(a *Assembly, o Options) (err error) {
	admission := &admission{service: s, current: &s.current, log: s.log, old: s.old, roll: s.roll, sandbox: s.sandbox}
	admitOldTLS(a.config.TLS, s.log)
	given, open := s.sockets.Given(), s.openStore
	if given || o.Awaits {
		turn := boltstore.QueueUp(a.config.Path(a.config.Store.Path)) // before one that is started when this one accepts
		defer turn.End()
		open = func(a *Assembly) error { return s.awaitStore(a, turn) }
	}
	if given {
		if err := s.listen(a, admission); err != nil {
			return err
		}
		if o.Predecessor != nil {
			if err := o.Predecessor.Accepted(); err != nil {
				return fmt.Errorf("the gateway that runs does not let go of its ports: %w", err)
			}
		}
		s.log.Info().Msg("accepting: what providers write is read when the store is free")
	}
	if err := open(a); err != nil {
		return fmt.Errorf("store.path: %w", err)
	}
	if err := s.open(a); err != nil {
		return err
	}
	if !given {
		if err := s.listen(a, admission); err != nil {
			return err
		}
	}
	if a.config.Admin.Listen != "" {
		if s.admin, err = newAdmin(a.config, s); err != nil {
			return ListenProblem("admin.listen", err)
		}
		go s.past.watch(s.snapshot, a.now)
		go func() { s.failed <- s.admin.serve() }()
	}
	return nil
}

// awaitStore opens the store, which another gateway may still have, when it is this one's turn.
// Those that have waited for it longer come first: what providers have written to them is lost
// if they never get it. A gateway that drains lets go of the store, however long that takes;
// one that serves, and so offers its sockets, may never do so.
func (s *Service) awaitStore(a *Assembly, turn *boltstore.Turn) error {
	dir, patience := a.config.Path(a.config.Store.Path), 3*time.Duration(a.config.Limits.Drain)
	deadline := time.Now().Add(patience)
	await := func(try func() error) error {
		for {
			err := try() // waits a moment itself
			switch {
			case !errors.Is(err, boltstore.ErrInUse):
				return err
			case !succession.Offered(dir):
				deadline = time.Now().Add(patience)
			case !time.Now().Before(deadline):
				return err
			}
		}
	}
	if err := await(turn.Wait); err != nil {
		return err
	}
	return await(func() error { return s.openStore(a) })
}

func (s *Service) openStore(a *Assembly) (err error) {
	s.store, err = boltstore.Open(a.config.Path(a.config.Store.Path), a.storeOptions())
	return err
}

// open opens the bridge on the store.
func (s *Service) open(a *Assembly) (err error) {
	for _, aside := range s.store.SetAside() {
		s.log.Error().Err(aside.Was).Str("kept", aside.Path).Msg("a file of the store was damaged: it is set " +
			"aside, and an empty one has begun")
	}
	s.list = s.store.Feedback()
	c := bridge.Config{
		Apps: a.apps, Feedback: s.list, Ledger: s.store.Ledger(), Spool: s.store.Spool(), Mode: a.spoolMode(),
		SpoolBegins: s.store.SpoolBegins(), Tombstones: s.store.Tombstones(),
		Limits: a.bridgeLimits(), Log: s.log,
	}
	if a.fleet != nil {
		if s.fleet, err = newFleetNode(s, a, s.store); err != nil {
			return err
		}
		s.list = s.fleet.feedback
		c.Feedback, c.Ledger, c.Spool, c.Fleet = s.list, nil, s.fleet.spool, true
	}
	if s.bridge, err = bridge.New(c); err != nil {
		return err
	}
	s.loadProviders()
	s.drainer = store.NewDrainer(s.list, appendTuple, a.now)
	if s.fleet != nil {
		s.fleet.start()
	}
	close(s.opened)
	return nil
}

// session opens the session of a provider's connection, or seeks a place for it.
func (s *Service) session(provider link.Provider, o bridge.Origin) (link.Session, error) {
	if s.fleet != nil {
		return s.fleet.passenger(originOf(o), "", provider), nil
	}
	session, err := s.bridge.Open(provider, o)
	if err != nil {
		return nil, err
	}
	return session, nil
}

// drain gives a client its feedback list.
func (s *Service) drain(ctx context.Context, client, app string, r store.Reader) (store.Drained, error) {
	if s.fleet != nil {
		return s.fleet.drain(ctx, client, app, r)
	}
	return s.drainer.Drain(ctx, client, app, r)
}

// listen opens the two ports, on the sockets that were passed to this process if there are any.
func (s *Service) listen(a *Assembly, admission *admission) (err error) {
	certificate := func(hello *tls.ClientHelloInfo) *tls.Certificate {
		return s.current.Load().certificateFor(hello)
	}
	feedback, err := s.port(a, "feedback.listen", a.config.Feedback, certificate)
	if err != nil {
		return err
	}
	push, err := s.port(a, "gateway.listen", a.config.Gateway, certificate)
	if err != nil {
		return err
	}
	if spare := s.sockets.Unclaimed(); len(spare) > 0 {
		return fmt.Errorf("there is a socket for %s, which neither gateway.listen nor feedback.listen names: make the "+
			"configuration and the ListenStream lines of the socket unit agree", strings.Join(spare, " and "))
	}
	if s.feedback, err = gateway.NewFeedbackServer(gateway.FeedbackConfig{Port: feedback,
		Admit: admission.feedback}); err != nil {
		return ListenProblem("feedback.listen", err)
	}
	loops := int(a.config.Limits.Loops)
	if s.push, err = gateway.NewServer(gateway.Config{Port: push, Admit: admission.push, Loops: loops}); err != nil {
		return ListenProblem("gateway.listen", err)
	}
	go func() { s.failed <- s.feedback.Serve() }()
	go func() { s.failed <- s.push.Serve() }()
	return nil
}

// port returns a port of a, with its sockets.
func (s *Service) port(a *Assembly, setting string, c config.Port,
	certificate func(*tls.ClientHelloInfo) *tls.Certificate) (gateway.Port, error) {
	p := a.port(c, certificate)
	p.Logger, p.Ready, p.Failed = s.log, s.opened, s.refused.failed
	for i := range p.Endpoints {
		l, err := s.sockets.Listen(p.Endpoints[i].Address)
		if err != nil {
			return p, ListenProblem(setting, err)
		}
		p.Endpoints[i].Listener = l
	}
	return p, nil
}

// offer lets a successor take the sockets, and calls leave when it has.
func (s *Service) offer(leave func()) {
	c := s.current.Load().config
	stop, err := s.sockets.Offer(c.Path(c.Store.Path), sync.OnceFunc(func() {
		s.log.Info().Msg("another gateway has taken over the ports")
		close(s.taken)
		leave()
	}))
	if err != nil {
		s.log.Warn().Err(err).Msg("no other gateway can take over the ports (serve --take-over)")
		return
	}
	s.withdraw = stop
}

// awaitSuccessor waits until a successor accepts, if one is likely to follow, so that no
// connection has to wait for it.
func (s *Service) awaitSuccessor(ctx context.Context) {
	const patience = 5 * time.Second // for it to start
	if !s.accompanied {
		return
	}
	select {
	case <-s.taken:
	case <-time.After(patience):
	case <-ctx.Done():
	}
}
