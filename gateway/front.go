package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/pace"
	"apnsbridge/gateway/identity"
)

// ErrServerClosed is what Serve returns after Shutdown and Close, and why a
// session ends that Close has cut.
var ErrServerClosed = errors.New("gateway: server closed")

// Endpoint is something to listen on: an address, or a listener for TCP that
// its owner has opened and the server closes. Label says in Hello by which
// endpoint a client came.
//
// From the addresses of ProxyProtocol a connection has to begin with a PROXY
// header, version 1 or 2, and the address in it is believed. Connections from
// elsewhere are taken as they are: a header of theirs is no TLS and no frame.
type Endpoint struct {
	Address       string
	Listener      net.Listener
	Label         string
	ProxyProtocol []netip.Prefix
}

// Port is what the push port and the feedback port have in common.
type Port struct {
	Endpoints []Endpoint

	// Certificate gives the server's certificate to each new connection. It must
	// be RSA for the oldest clients.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	// MinVersion is tls.VersionTLS12 if it is zero. With TLS 1.0 see
	// Hello.SplitsRecords.
	MinVersion uint16

	// LegacyCiphers admits RSA key exchange, CBC with SHA-256, and 3DES. Whether
	// SHA-1 signatures are admitted in TLS 1.2 is a setting of the process:
	// GODEBUG=tlssha1=1.
	LegacyCiphers bool

	// Ready is closed when sessions can be opened; nil: they always can. Until then a
	// connection waits behind its handshake, and does not count for its address: the
	// program that opened it may have written and gone, and opened the next.
	Ready <-chan struct{}

	// Terminated are the addresses from which connections come without TLS,
	// because a program there (stunnel, haproxy) has ended it. They are spoken to
	// in plain TCP only, and no other address is.
	Terminated []netip.Prefix

	// Failed is told of a handshake that failed for a reason that the operator can do something about: the log
	// has both sentences too. nil: it is not wanted. It is called from several goroutines, and borrows the Hello.
	Failed func(h *Hello, reason, remedy string)

	Limits Limits
	Logger zerolog.Logger
}

// front accepts connections for a port, within its bounds, and does their
// handshakes.
type front struct {
	limits    Limits
	tls       *tls.Config
	trusted   []netip.Prefix // Port.Terminated
	legacy    bool           // Port.LegacyCiphers
	ready     <-chan struct{}
	log       zerolog.Logger
	often     zerolog.Logger // for what a stranger can make happen at will
	seldom    zerolog.Logger // for what one who is over a rate goes on doing
	admit     func(*Hello) (welcome func(*arrival), err error)
	failed    func(h *Hello, reason, remedy string) // Port.Failed
	relieve   func() bool                           // ends a connection that can be spared, if there is one
	yield     func(excess map[string]int) *place    // has one of an app with excess give way, and returns its place
	census    *census
	pending   *pending
	gate      *gate
	crew      *crew
	computing *computing
	early     atomic.Int64 // arrivals that wait for their hellos on the crew
	hellos    atomic.Int64 // bytes of hellos that are longer than firstHello
	counters  portCounters

	ctx    context.Context // until handshakes have to end
	cancel context.CancelFunc

	mu        sync.Mutex
	listeners []labelled
	closed    bool // no more is accepted
	aborted   bool // and no handshake begins
	crowd     *crowd
	arrivals  map[*waiter]*arrival // in the handshake
	running   sync.WaitGroup       // accept loops, arrivals and what welcomes them
}

type labelled struct {
	net.Listener
	label   string
	proxies []netip.Prefix
}

func newFront(p Port, admit func(*Hello) (func(*arrival), error)) (*front, error) {
	if len(p.Endpoints) == 0 {
		return nil, errors.New("gateway: no address to listen on")
	}
	if p.Certificate == nil {
		return nil, errors.New("gateway: no server certificate")
	}
	if p.Failed == nil {
		p.Failed = func(*Hello, string, string) {}
	}
	limits := p.Limits.withDefaults()
	f := &front{
		limits:    limits,
		tls:       p.tlsConfig(),
		trusted:   networks(p.Terminated),
		legacy:    p.LegacyCiphers,
		ready:     p.Ready,
		log:       p.Logger,
		often:     pace.Lines(p.Logger, pace.Rate{Count: 20, Per: 5 * time.Second}),
		seldom:    pace.Lines(p.Logger, pace.Rate{Count: 10, Per: time.Minute}),
		admit:     admit,
		failed:    p.Failed,
		relieve:   func() bool { return false },
		yield:     func(map[string]int) *place { return nil },
		census:    newCensus(limits),
		pending:   newPending(limits),
		gate:      newGate(limits),
		crew:      new(crew),
		computing: newComputing(),
		crowd:     newCrowd(helloPatience),
		arrivals:  make(map[*waiter]*arrival),
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	for _, e := range p.Endpoints {
		l := e.Listener
		if l == nil {
			var err error
			if l, err = net.Listen("tcp", e.Address); err != nil {
				f.stop()
				return nil, fmt.Errorf("gateway: %w", err)
			}
		}
		f.listeners = append(f.listeners, labelled{l, e.Label, networks(e.ProxyProtocol)})
	}
	return f, nil
}

// addrs are the addresses listened on, in the order of the endpoints.
func (f *front) addrs() []net.Addr {
	addrs := make([]net.Addr, len(f.listeners))
	for i, l := range f.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// serve accepts until stop, or until a listener fails for good.
func (f *front) serve() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return ErrServerClosed
	}
	ended := make(chan error, len(f.listeners))
	for _, l := range f.listeners {
		f.running.Go(func() { ended <- f.accept(l) })
	}
	f.mu.Unlock()
	err := <-ended
	if f.stopped() {
		return ErrServerClosed
	}
	return fmt.Errorf("gateway: %w", err)
}

// accept goes on when no descriptor is left: others will end.
func (f *front) accept(l labelled) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		c, err := l.Accept()
		if err == nil {
			pause = shortest
			f.take(c, l)
			continue
		}
		if f.stopped() || !passes(err) {
			return err
		}
		f.counters.acceptErrors.Add(1)
		relieved := f.makeRoom()
		f.often.Warn().Err(err).Bool("relieved", relieved).Dur("pause", pause).Msg("cannot accept a connection")
		select {
		case <-f.ctx.Done():
			return err
		case <-time.After(pause):
			pause = min(2*pause, longest)
		}
	}
}

// passes reports whether accept can work again later.
func passes(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// networks gives those of IPv4 their own form, as addresses are compared in it.
func networks(given []netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, n := range given {
		all = append(all, identity.Network(n))
	}
	return all
}

// contains reports whether a is in one of networks, in whatever form it comes.
func contains(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (f *front) stopped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// stop ends accepting. What was accepted has its handshake.
func (f *front) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	for _, l := range f.listeners {
		l.Close()
	}
}

// abort ends the handshakes too, and returns when all goroutines have.
func (f *front) abort() {
	f.stop()
	f.cancel()
	f.mu.Lock()
	f.aborted = true
	for _, a := range f.arrivals {
		a.tcp.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
	f.crew.dismiss()
}
