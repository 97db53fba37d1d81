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

// ErrServerClosed is what Serve returns after Shutdown and Close, and the reason given
// to sessions that Close has cut.
var ErrServerClosed = errors.New("gateway: server closed")

// Endpoint is something to listen on: an address, or a TCP listener that its owner has
// opened and the server closes. Label tells in Hello by which endpoint a client came.
//
// A connection from an address in ProxyProtocol has to begin with a PROXY header of
// version 1 or 2, and the address in it is believed. Connections from elsewhere are
// taken as they are: a PROXY header from there is neither TLS nor a frame.
type Endpoint struct {
	Address       string
	Listener      net.Listener
	Label         string
	ProxyProtocol []netip.Prefix
}

// Port is what the push port and the feedback port have in common.
type Port struct {
	Endpoints []Endpoint

	// Certificate gives the server's certificate for each new connection. For the
	// oldest clients it must be RSA.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	// MinVersion defaults to tls.VersionTLS12. For TLS 1.0 see Hello.SplitsRecords.
	MinVersion uint16

	// LegacyCiphers admits RSA key exchange, CBC with SHA-256, and 3DES. Whether
	// SHA-1 signatures are admitted in TLS 1.2 is a setting of the process:
	// GODEBUG=tlssha1=1.
	LegacyCiphers bool

	// Ready is closed when sessions can be opened; nil means always. Until then a
	// connection waits after its handshake, and does not count for its address: the
	// program that opened it may have written, gone, and opened the next one.
	Ready <-chan struct{}

	// Terminated are the addresses from which connections come without TLS, because a
	// program there (stunnel, haproxy) has ended it. These speak plain TCP only, and no
	// other address may.
	Terminated []netip.Prefix

	// Failed, unless nil, is told of each handshake that failed for a reason that the operator can do something
	// about. The log has both sentences too. It is called from several goroutines, and borrows the Hello.
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
	often     zerolog.Logger // limited: for what any stranger can cause
	seldom    zerolog.Logger // limited more: for what one client over a rate causes again and again
	admit     func(*Hello) (welcome func(*arrival), err error)
	failed    func(h *Hello, reason, remedy string) // Port.Failed
	relieve   func() bool                           // ends a connection that can be spared, if there is one
	yield     func(excess map[string]int) *place    // ends a connection of an app with excess, and returns its place
	census    *census
	pending   *pending
	gate      *gate
	crew      *crew
	computing *computing
	early     atomic.Int64 // arrivals on the crew that wait for their hellos
	hellos    atomic.Int64 // bytes of hellos that are longer than firstHello
	counters  portCounters

	ctx    context.Context // ends when handshakes have to
	cancel context.CancelFunc

	mu        sync.Mutex
	listeners []labelled
	closed    bool // no connection is accepted any more
	aborted   bool // no handshake begins any more
	crowd     *crowd
	arrivals  map[*waiter]*arrival // whose handshakes are under way
	running   sync.WaitGroup       // accept loops, arrivals, and the functions that welcome them
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

// accept goes on when no descriptor is left: other connections will end.
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

// passes reports whether accept may succeed again later.
func passes(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// networks brings IPv4 networks into IPv4 form, in which addresses are compared.
func networks(given []netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, n := range given {
		all = append(all, identity.Network(n))
	}
	return all
}

// contains reports whether a, in whatever form, is in one of networks.
func contains(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (f *front) stopped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// stop ends accepting. Connections that were accepted still have their handshake.
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

// abort ends the handshakes too, and returns when all goroutines have ended.
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
