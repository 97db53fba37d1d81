package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/bridge"
	"apnsbridge/fleet"
	"apnsbridge/fleet/link"
	"apnsbridge/fleet/member"
	"apnsbridge/fleet/memory"
	"apnsbridge/gateway/identity"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
	"apnsbridge/store/pgstore"
)

// fleetNode is the gateway as a node of a fleet.
type fleetNode struct {
	service  *Service
	log      zerolog.Logger
	store    *pgstore.Store
	spool    *memory.Spool
	feedback *memory.Feedback
	member   *member.Member
	listener net.Listener
	carriage carriage
	patience time.Duration // with the fleet's store
	half     time.Duration // half a lease, or less: packets that were decided on are written by then
	fenced   atomic.Uint64
	handing  context.CancelFunc
	handed   chan struct{}
}

// fleetPatience is how long the start waits for the fleet's store.
const fleetPatience = 15 * time.Second

// newFleetNode connects to the fleet's store. If that is away the node begins without a
// lease, as if the store had just gone away. start starts the node.
func newFleetNode(s *Service, a *Assembly, own *boltstore.Store) (f *fleetNode, err error) {
	rules := a.rules()
	f = &fleetNode{service: s, log: s.log, patience: min(rules.Trust, 5*time.Second),
		half: min(rules.Length/2, member.Hushed), handed: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), fleetPatience)
	defer cancel()
	fenced := func() { f.fenced.Add(1) }
	postgres := a.fleet.postgres
	postgres.Fenced = fenced
	if f.store, err = pgstore.New(postgres); err != nil {
		return nil, fmt.Errorf("store.postgres: %w", err)
	}
	if err := f.store.Prepare(ctx); errors.Is(err, pgstore.ErrAway) {
		s.log.Error().Err(err).Msg("the node begins without a lease: it serves providers without packets, and joins the " +
			"fleet when it can")
	} else if err != nil {
		_ = f.store.Close()
		return nil, fmt.Errorf("store.postgres: %w", err)
	}
	if f.listener, err = net.Listen("tcp", a.config.Fleet.Listen); err != nil {
		_ = f.store.Close()
		return nil, ListenProblem("fleet.listen", err)
	}
	address := f.listener.Addr().String()
	f.spool = memory.NewSpool(memory.SpoolConfig{Shared: f.store.Spool(), Local: own.Spool(), Patience: f.patience,
		Fenced:  fenced,
		Commits: a.spoolMode() == bridge.SpoolAlways,
		May:     func(app string) bool { return f.member.May(app) },
		Gives:   func(app string) bool { return f.member.Place(app) == fleet.Giving },
		Loose:   func(app string) bool { return f.member.Loose(app) }})
	f.feedback = memory.NewFeedback(memory.FeedbackConfig{Shared: f.store.Feedback(), Own: own.Feedback(),
		Patience: f.patience,
		Retry:    rules.Renew, Apps: func() []string { return s.current.Load().appNames() }})
	f.member = member.New(member.Config{Leases: &joining{Leases: f.store.Leases(), node: f}, Rules: rules, Link: a.link(),
		Apps: f, Log: s.log,
		Self:   func() store.FleetNode { return s.current.Load().self(address) },
		Serves: func(app string) bool { return s.current.Load().has(app) }})
	return f, nil
}

// joining logs warnings about the server's settings once they are known.
type joining struct {
	store.Leases
	node *fleetNode
	once sync.Once
}

// Join implements store.Leases.
func (j *joining) Join(ctx context.Context, n store.FleetNode, lease time.Duration) (store.FleetView, error) {
	v, err := j.Leases.Join(ctx, n, lease)
	if err == nil {
		j.once.Do(func() {
			for _, w := range j.node.store.Warnings() {
				j.node.log.Warn().Msg(w)
			}
		})
	}
	return v, err
}

// start makes this gateway a node: apps may come from now on.
func (f *fleetNode) start() {
	var ctx context.Context
	ctx, f.handing = context.WithCancel(context.Background())
	go func() {
		defer close(f.handed)
		f.feedback.Run(ctx, time.Second)
	}()
	f.member.Start(f.listener)
}

// leave gives all apps to other nodes, and makes the sessions that are carried to them leave.
func (f *fleetNode) leave(ctx context.Context) error {
	patience := 10 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		patience = time.Until(deadline) / 2
	}
	f.carriage.leaveAll(patience)
	if err := f.member.Leave(ctx); err != nil {
		return fmt.Errorf("the node's apps are not given: %w", err)
	}
	return nil
}

// close ends the links and the store.
func (f *fleetNode) close() error {
	err := ignoreClosed(f.listener.Close())
	if f.handing != nil {
		f.member.Close()
		f.handing()
		<-f.handed
	}
	return errors.Join(err, f.store.Close())
}

// Take implements member.Apps, and so do the methods below.
func (f *fleetNode) Take(ctx context.Context, app string, epoch uint64) error {
	if err := f.spool.Own(ctx, app, epoch); err != nil {
		return err
	}
	ledger := memory.Ledger{Ledger: f.store.Ledger(app, epoch), Patience: f.patience, Fenced: func() { f.fenced.Add(1) }}
	if err := f.service.bridge.Take(app, ledger); err != nil {
		f.spool.Disown(app)
		return err
	}
	return nil
}

func (f *fleetNode) Loosen(app string) { f.service.bridge.Loosen(app) }
func (f *fleetNode) GoOn(app string)   { f.service.bridge.GoOn(app) }
func (f *fleetNode) Hush(app string)   { f.service.bridge.Hush(app) }

func (f *fleetNode) Givable(app string) error {
	if f.service.bridge.Unwritten(app) {
		return errors.New("it stays here, because PostgreSQL takes too long to record what providers may send again: " +
			"see the log")
	}
	return nil
}

func (f *fleetNode) Lose(app string) {
	f.service.bridge.Lose(app, func() { f.spool.Disown(app) })
}

func (f *fleetNode) Release(ctx context.Context, app string) {
	drain := time.Duration(f.service.current.Load().config.Limits.Drain)
	ctx, cancel := context.WithTimeout(ctx, drain/2)
	defer cancel()
	err := f.service.bridge.Give(ctx, app, func() {
		if err := f.spool.HandOver(ctx, app); err != nil {
			f.log.Warn().Err(err).Str("app", app).Msg("what waits on this node's own disk stays here")
		}
		if err := f.spool.Flush(context.WithoutCancel(ctx)); err != nil { // has its own timeout
			f.log.Error().Err(err).Str("app", app).Msg("deliveries cannot be recorded: some notifications may be " +
				"delivered again")
		}
		f.spool.Disown(app)
	})
	if err != nil {
		f.log.Error().Err(err).Str("app", app).Msg("the app is given away before all of its state was recorded")
	}
}

// origin says whose connection is carried; nodes send it to each other.
type origin struct {
	App, Client, Topic string
	Address            netip.Addr
	Roams, Mute        bool
	Environment        uint8
	Hops               int
}

// mostHops is how many times a connection is carried on while nodes do not agree on which of
// them has its app.
const mostHops = 4

func (o origin) bridge() bridge.Origin {
	return bridge.Origin{App: o.App, Client: o.Client, Address: o.Address, Roams: o.Roams, Topic: o.Topic,
		Environment: bridge.Environment(o.Environment), Mute: o.Mute}
}

func originOf(o bridge.Origin) origin {
	return origin{App: o.App, Client: o.Client, Address: o.Address, Roams: o.Roams, Topic: o.Topic,
		Environment: uint8(o.Environment), Mute: o.Mute}
}

func (o origin) encode() []byte {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // impossible: the fields are plain
	}
	return text
}

// passenger seeks a place for the session of a provider's connection. from is the node that
// carries it here, empty if none does.
func (f *fleetNode) passenger(o origin, from string, provider link.Provider) *passenger {
	p := &passenger{provider: provider, carriage: &f.carriage, app: o.App}
	p.open = func() (link.Session, error) {
		answers := func() time.Duration { return f.answers(o.App) }
		s, err := f.service.bridge.Open(voice{provider, answers, &p.untold}, o.bridge())
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	o.Hops++
	p.origin = o.encode()
	f.carriage.enter(p)
	f.member.Enter(o.App, from, p)
	return p
}

// Open implements link.Handler.
func (f *fleetNode) Open(node string, provider link.Provider, text []byte) (link.Session, binproto.Parser, error) {
	var o origin
	current := f.service.current.Load()
	switch err := json.Unmarshal(text, &o); {
	case err != nil:
		return nil, binproto.Parser{}, fmt.Errorf("an origin that cannot be read: %w", err)
	case o.Hops > mostHops:
		return nil, binproto.Parser{}, errors.New("the nodes do not agree on whose the app is")
	case !current.has(o.App):
		return nil, binproto.Parser{}, fmt.Errorf("node %s is not configured with app %.100q", current.fleet.node, o.App)
	}
	app := current.bridged(o.App)
	parser := current.parser(app.PushType == "voip" || strings.HasSuffix(o.Topic, ".voip"))
	return f.passenger(o, node, provider), parser, nil
}

// reading says whose feedback list is read; nodes send it to each other.
type reading struct{ App, Client string }

// Read implements link.Handler.
func (f *fleetNode) Read(ctx context.Context, node string, text []byte, r link.Reader) {
	var who reading
	if err := json.Unmarshal(text, &who); err != nil || f.member.Place(who.App) != fleet.Here {
		_, _ = r.Finish()
		return
	}
	drained, err := f.service.drainer.Drain(ctx, who.Client, who.App, r)
	f.log.Info().Str("app", who.App).Str("client", identity.Client{ID: who.Client}.Short()).Str("node", node).
		Stringer("outcome", drained.Outcome).Int("tuples", drained.Tuples).
		Int("forgotten", drained.Forgotten).AnErr("reason", err).Msg("feedback")
}

// drain gives a client its list, here or on the node where the app lives. If that is not known
// the client gets nothing, because it would be given the same entries again later.
func (f *fleetNode) drain(ctx context.Context, client, app string, r store.Reader) (store.Drained, error) {
	s := seeker{make(chan place, 1)}
	f.member.Enter(app, "", s)
	var p place
	select {
	case p = <-s.found:
	case <-ctx.Done():
		p.err = ctx.Err()
	}
	switch {
	case p.err == nil && p.entry != nil:
		text, _ := json.Marshal(reading{app, client})
		carried := &carriedReader{Reader: r}
		err := p.entry.Read(ctx, text, carried)
		return carried.drained(), err
	case p.err == nil && f.member.Place(app) == fleet.Here:
		return f.service.drainer.Drain(ctx, client, app, r)
	}
	_, err := r.Finish()
	return store.Drained{Outcome: store.Refused}, errors.Join(p.err, err)
}
