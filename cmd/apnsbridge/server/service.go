package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/bridge"
	"apnsbridge/bridge/pace"
	"apnsbridge/cmd/apnsbridge/logwriter"
	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/cmd/apnsbridge/report"
	"apnsbridge/cmd/apnsbridge/succession"
	"apnsbridge/gateway"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// Service is the running gateway with all its parts.
type Service struct {
	version     string                      // of the program
	current     atomic.Pointer[Assembly]    // the configuration in use
	spurned     map[string]certificateStamp // by section: a state of the files that could not be used
	poll        time.Duration               // how often the server certificates' files are checked
	log         zerolog.Logger
	lines       *logwriter.Writer // what log writes to; nil: it needs no watching
	store       *boltstore.Store
	storeFault  *pace.Fault // logs that the store cannot be written
	bridge      *bridge.Bridge
	list        store.Feedback // of dead devices
	drainer     *store.Drainer
	fleet       *fleetNode // nil: no fleet
	push        *gateway.Server
	feedback    *gateway.FeedbackServer
	admin       *admin
	old         *oldTLS
	reloads     *reloads
	metrics     *metrics.Metrics
	past        *past
	providers   *report.Report
	refused     *doorBook
	roll        *roll
	sandbox     *sandboxAsked
	asked       chan chan<- reloadOutcome // operators' requests for reloads
	summary     totals                    // at the last summary; only keepUp uses it
	firsts      map[string]bool           // apps for which APNs has accepted a notification; only keepUp uses it
	failed      chan error                // from the parts that serve
	sockets     *succession.Sockets
	withdraw    func()        // withdraws the offer of the sockets
	taken       chan struct{} // closed when a successor accepts
	opened      chan struct{} // closed when bridge and store are open
	accompanied bool          // a successor is likely to follow

	applying sync.Mutex // held while a reload is applied
	ending   bool       // no reload is applied any more
}

// Options are what a gateway needs besides its configuration.
type Options struct {
	Version string // of the program
	Log     zerolog.Logger
	Lines   *logwriter.Writer // what Log writes to; nil: it needs no watching

	Sockets     *succession.Sockets     // already open; closed with the service; nil: none
	Predecessor *succession.Predecessor // told when this gateway accepts; nil: none
	Awaits      bool                    // another gateway may still have the store, though it has passed no sockets
	Accompanied bool                    // a successor is likely to follow
}

// New starts everything. Its errors are written for the operator.
func New(a *Assembly, o Options) (*Service, error) {
	if o.Sockets == nil {
		o.Sockets = new(succession.Sockets)
	}
	s := &Service{
		version: o.Version, log: o.Log, lines: o.Lines, old: newOldTLS(o.Log), reloads: newReloads(a.now()),
		spurned: make(map[string]certificateStamp), firsts: make(map[string]bool),
		asked: make(chan chan<- reloadOutcome), poll: 10 * time.Second, failed: make(chan error, 3),
		sockets: o.Sockets, withdraw: func() {}, accompanied: o.Accompanied,
		taken: make(chan struct{}), opened: make(chan struct{}),
	}
	s.current.Store(a)
	s.roll = newRoll(&s.current, s.log)
	s.metrics, s.past = metrics.New(s.snapshot), newPast()
	s.providers, s.refused = report.New(a.now), &doorBook{now: a.now}
	s.storeFault = pace.NewFault(s.log, time.Now, storeFull, "the store can be written again")
	s.sandbox = &sandboxAsked{log: s.log, now: a.now, last: make(map[string]time.Time)}
	if err := s.start(a, o); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func appendTuple(b []byte, d store.Dead) []byte {
	return binproto.Tuple{Time: uint32(d.Time.Unix()), Token: d.Token}.Append(b)
}

// Serve serves until ctx ends or a successor has taken the ports, and then drains; a hangup
// reloads. If systemd has started the process, it is told the service's state. The error says
// why serving or draining failed.
func (s *Service) Serve(ctx context.Context, hangups <-chan os.Signal) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	s.offer(leave)
	push, feedback, admin := s.Addresses()
	ready := s.log.Info().Stringer("gateway", push).Stringer("feedback", feedback).Int("apps", len(s.current.Load().apps))
	if admin != nil {
		ready.Stringer("admin", admin)
	}
	ready.Msg("serving")
	s.warn()
	manager, err := newSystemd()
	if err != nil {
		s.log.Warn().Err(err).Msg("systemd cannot be told that the service is ready")
	}
	return s.run(ctx, hangups, manager)
}

// run serves until ctx ends, and then drains; a hangup reloads. The error says
// why serving or draining failed.
func (s *Service) run(ctx context.Context, hangups <-chan os.Signal, manager *systemd) error {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop()
	watch.Go(func() {
		manager.watch(watching, s.alive, func(err error) { s.log.Error().Err(err).Msg("no sign of life for systemd") })
	})
	manager.tell("READY=1")
	tending, rest := context.WithCancel(ctx)
	failed := s.tend(tending, hangups, manager)
	rest()
	s.applying.Lock()
	s.ending = true
	s.applying.Unlock()
	manager.tell("STOPPING=1")
	drain := time.Duration(s.current.Load().config.Limits.Drain)
	s.log.Info().Dur("drain", drain).Msg("stopping")
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return errors.Join(failed, s.Stop(stopping))
}

// tend waits until ctx ends or a part fails. keepUp reads files in another goroutine, so
// that a file that never ends does not keep the service from stopping.
func (s *Service) tend(ctx context.Context, hangups <-chan os.Signal, manager *systemd) error {
	go s.keepUp(ctx, hangups, manager)
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return fmt.Errorf("stopped serving: %w", err)
	}
}

// keepUp does the service's periodic work, and reloads and renews certificates, one after
// another.
func (s *Service) keepUp(ctx context.Context, hangups <-chan os.Signal, manager *systemd) {
	poll, hourly, daily := time.NewTicker(s.poll), time.NewTicker(time.Hour), time.NewTicker(24*time.Hour)
	defer poll.Stop()
	defer hourly.Stop()
	defer daily.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			manager.tell("RELOADING=1")
			manager.tell("READY=1", "STATUS="+s.hangup().status())
		case answer := <-s.asked:
			manager.tell("RELOADING=1")
			outcome := s.hangup()
			manager.tell("READY=1", "STATUS="+outcome.status())
			answer <- outcome
		case <-poll.C:
			s.renewCertificates()
			s.tellFirsts()
			s.storeFault.Met(s.unwritable())
		case <-hourly.C:
			s.summarise()
			s.saveProviders()
		case <-daily.C:
			s.warn()
		}
	}
}

// alive returns nil once every part has returned its statistics, for which it needs its
// locks, and the event loops have answered. Its error says what does not.
func (s *Service) alive(ctx context.Context) error {
	figures := make(chan struct{})
	go func() {
		defer close(figures)
		s.feedback.Stats()
		s.bridge.Stats()
		s.store.Stats()
		s.push.Stats()
	}()
	select {
	case <-figures:
		return s.push.Alive(ctx)
	case <-ctx.Done():
		return fmt.Errorf("a part of the gateway does not give its figures: %w", ctx.Err())
	}
}

// Stop ends the parts in the order in which they stop being needed: a part that feeds
// another ends before that.
func (s *Service) Stop(ctx context.Context) error {
	if s.admin != nil {
		s.admin.stopping.Store(true)
	}
	s.hush(ctx)
	closed := make(chan error, 1)
	go func() {
		s.awaitSuccessor(ctx)
		s.withdraw()
		closed <- s.push.Shutdown(ctx) // no new connections; ends with the sessions
	}()
	var err error
	if s.fleet != nil {
		err = s.fleet.leave(ctx)
	}
	err = errors.Join(err, s.bridge.Shutdown(ctx)) // ends the sessions
	err = errors.Join(err, <-closed)
	if s.fleet != nil {
		err = errors.Join(err, s.fleet.member.Settle(ctx))
	}
	// Again, because providers may have written until their connections were closed.
	err = errors.Join(err, s.bridge.Shutdown(ctx), s.feedback.Shutdown(ctx))
	return errors.Join(err, s.close())
}

// hush stops telling providers of failures but goes on accepting for a while, so that
// balancers can find another node.
func (s *Service) hush(ctx context.Context) {
	if s.fleet == nil {
		return
	}
	s.fleet.member.Hush()
	select {
	case <-time.After(s.fleet.half):
	case <-ctx.Done():
	}
}

// close ends at once whatever has been started.
func (s *Service) close() error {
	var errs []error
	s.past.end()
	s.withdraw()
	if s.push != nil {
		errs = append(errs, s.push.Close())
		if cut := s.push.Stats().CutOff; cut > 0 {
			s.log.Warn().Uint64("connections", cut).Msg("connections were cut that their providers had not ended: what " +
				"was on its way is lost unless it is sent again")
		}
	}
	if s.bridge != nil {
		s.bridge.Close()
	}
	if s.fleet != nil {
		errs = append(errs, s.fleet.close())
	}
	if s.feedback != nil {
		errs = append(errs, s.feedback.Close())
	}
	if s.admin != nil { // before the store: when its lock is free, a successor listens here
		errs = append(errs, s.admin.close())
	}
	if s.store != nil {
		if s.bridge != nil {
			s.saveProviders()
		}
		errs = append(errs, s.store.Close())
	}
	s.sockets.Close()
	return errors.Join(errs...)
}

// Addresses returns the addresses of the ports, which the system may have chosen.
func (s *Service) Addresses() (push, feedback, admin net.Addr) {
	if s.admin != nil {
		admin = s.admin.listener.Addr()
	}
	return s.push.Addr(), s.feedback.Addr(), admin
}
