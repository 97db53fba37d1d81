package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// errClientFull reaches the client as an alert, or as an end right after the handshake.
var errClientFull = errors.New("gateway: the client has as many connections as connections_per_client allows")

// errFull reaches the client as an end right after the handshake.
var errFull = errors.New("gateway: all connections are taken, and the client's app has its share of them")

// errAddressFull ends a connection whose address is known only from its PROXY header.
var errAddressFull = errors.New("gateway: the address has as many connections as connections_per_address allows")

// arrival is a connection between accept and the end of its handshake.
type arrival struct {
	waiter
	front    *front
	tcp      *net.TCPConn
	wire     *wire
	stream   stream
	place    *place // what the census counts it as
	turn     *turn  // of its handshake, once it has asked for one
	reader   *helloReader
	held     int // bytes of its hello that are counted in front.hellos
	hello    Hello
	proxied  bool           // a PROXY header has to come
	via      netip.AddrPort // the program in front, if the header has named another address
	spoken   language       // what the first bytes are
	welcome  func(*arrival) // takes the connection after the handshake; owns it and its place in the census
	refusal  error
	dropped  atomic.Bool
	evicted  atomic.Bool     // from its place among the handshakes; the connection stays for now
	ctx      context.Context // ends when others need its place, or the port closes
	cancel   context.CancelFunc
	deadline time.Time // of the handshake

	desk  *desk               // from its ClientHello to the end of the handshake
	peers []*x509.Certificate // crypto/tls's own slice
	shown *x509.Certificate   // our certificate, once it was sent to the client
	last  lastBytes           // that the client has sent

	yields chan struct{} // closed when it has to give way while it waits for Port.Ready
	behind []byte        // the beginning of the provider's frames, if it had to be read early
	stake  stake         // when last looked at; under the lock of front.pending
}

func newArrival(f *front, tcp *net.TCPConn, l labelled) *arrival {
	remote, _ := tcp.RemoteAddr().(*net.TCPAddr)
	a := &arrival{front: f, tcp: tcp, place: new(place)}
	a.unread = func() (some bool) {
		control(tcp, func(fd int) { some = received(fd) > 0 })
		return some
	}
	a.since = time.Now()
	a.ctx, a.cancel = context.WithCancel(f.ctx)
	a.deadline = a.since.Add(f.limits.HandshakeTimeout)
	if remote != nil {
		ap := remote.AddrPort()
		a.hello.Remote = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	a.hello.Label = l.label
	a.hello.Terminated = contains(f.trusted, a.hello.Remote.Addr())
	if a.proxied = contains(l.proxies, a.hello.Remote.Addr()); !a.proxied {
		a.from = sourceOf(a.hello.Remote.Addr())
		a.place.from = a.from
	}
	return a
}

// listen reads what the client says first, and returns the tls.Conn to do the handshake
// with; nil if there is no handshake to do.
func (a *arrival) listen() (*tls.Conn, error) {
	f := a.front
	if err := a.tcp.SetDeadline(a.deadline); err != nil {
		return nil, err
	}
	if a.proxied {
		if err := a.reveal(); err != nil {
			return nil, err
		}
	}
	if a.hello.Terminated {
		return nil, a.introduce()
	}
	a.reader = new(helloReader)
	f.counters.awaitingHello.Add(1)
	head, err := a.reader.read(a.tcp, f.limits.HelloBytes, a.grow)
	f.counters.awaitingHello.Add(-1)
	if err != nil {
		return nil, err
	}
	a.greeted.Store(true)
	a.spoken = languageOf(head)
	if a.turn != nil {
		a.owed.Store(true)
		f.gate.goesOn(a.turn)
	} else if err := a.enter(true, looksOf(head)); err != nil {
		return nil, err
	}
	a.wire = &wire{Conn: &prefixed{a.tcp, head, a}, arrival: a, left: f.limits.UnparsedBytes}
	return tls.Server(a.wire, f.tls), nil
}

func (a *arrival) shakeHands(conn *tls.Conn) error {
	a.front.computing.begin(a.place.from)
	err := conn.Handshake()
	a.front.computing.end()
	if a.desk != nil {
		a.desk.leave()
	}
	if err != nil {
		return err
	}
	a.stream = conn
	if a.welcome == nil {
		return errors.New("gateway: the handshake ended without a decision about the client")
	}
	a.release()
	return nil
}

// conclude frees what only a handshake needs, and then welcomes the connection, or ends
// it because of err.
func (a *arrival) conclude(err error) {
	f := a.front
	if a.reader != nil {
		a.reader.release()
		a.reader = nil
	}
	f.hellos.Add(-int64(a.held))
	if a.turn != nil {
		f.gate.leave(a.turn) // from here on it is not evicted
	}
	if err == nil && a.evicted.Load() { // it was evicted when it no longer needed the place
		a.tcp.SetDeadline(a.deadline)
	}
	if err != nil && a.evicted.Load() && a.refusal == nil {
		a.ignore()
	}
	a.cancel()
	f.remove(a)
	if err == nil {
		err = a.join()
	}
	if err != nil {
		a.fail(err)
		f.census.leave(a.place)
		return
	}
	f.counters.admitted(&a.hello)
	if err = a.awaitReady(); err == nil {
		a.welcome(a)
		return
	}
	a.fail(err)
	f.census.leave(a.place)
	if errors.Is(err, errGaveWay) {
		f.pending.gone()
	}
}

// reveal reads the PROXY header. From then on a counts as coming from the address that
// the header names: for its place, for Admit, and for the log.
func (a *arrival) reveal() error {
	f := a.front
	f.counters.awaitingHello.Add(1)
	from, err := readProxyHeader(a.tcp, f.limits.UnparsedBytes)
	f.counters.awaitingHello.Add(-1)
	if err != nil {
		return err
	}
	if from.IsValid() {
		a.via, a.hello.Remote = a.hello.Remote, from
		f.counters.proxied.Add(1)
	}
	source := sourceOf(a.hello.Remote.Addr())
	f.mu.Lock()
	f.crowd.move(&a.waiter, source)
	f.mu.Unlock()
	if f.census.reveal(a.place, source) {
		return nil
	}
	// As with findPlace, but a may be the one that goes.
	if gives := f.spareOf(source); gives != nil && gives != a {
		f.counters.overLimitPerAddress.Add(1)
		gives.drop()
		return nil
	}
	return errAddressFull
}

// introduce decides about a client that comes through a program in front of us which has
// ended its TLS: all that is known is its address.
func (a *arrival) introduce() error {
	a.wire = &wire{Conn: a.tcp}
	a.stream = plain{a.wire}
	return a.decide()
}

// decide asks whether the client is admitted, and whether there is room for it.
func (a *arrival) decide() error {
	a.welcome, a.refusal = a.front.admit(&a.hello)
	if a.refusal == nil && a.front.census.fullOfClient(a.hello.Client) {
		a.refusal = errClientFull
	}
	return a.refusal
}

// join counts the connection for its client, which by now has proven who it is, so that
// no other can take its places. Between decide and join other connections may have come.
//
// If no place is left, a connection of an app with more than its share gives way to one of
// an app that has less.
func (a *arrival) join() error {
	f := a.front
	for {
		switch f.census.join(a.place, a.hello.Client, a.hello.App, a.hello.Version) {
		case welcome:
			return nil
		case tooManyOfClient:
			a.refusal = errClientFull
			return a.refusal
		}
		var gives *place
		if f.census.owed(a.hello.App) {
			gives = f.makeWay(f.census.excess())
		}
		if gives == nil {
			a.refusal = errFull
			return a.refusal
		}
		f.counters.overShare.Add(1)
		f.census.leave(gives)
	}
}

// release frees what a tls.Conn would otherwise keep for as long as it is open, more than a
// third of its memory: the client's certificates, and a.
func (a *arrival) release() {
	clear(a.peers)
	a.peers = nil
	a.wire.arrival = nil
}

// keepAlive finds peers that are gone without a word; no connection is ever closed for
// being idle. It is set once a connection lasts: until then a handshake has its deadline.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// verify runs within the handshake, where an error becomes an alert.
func (a *arrival) verify(state tls.ConnectionState) error {
	h := &a.hello
	a.peers = state.PeerCertificates
	h.Chain = slices.Clone(a.peers)
	h.ServerName = state.ServerName
	h.Version = state.Version
	h.Cipher = state.CipherSuite
	h.Resumed = state.DidResume
	return a.decide()
}

// drop gives the place of a to another.
func (a *arrival) drop() {
	a.dropped.Store(true)
	a.cancel()
	a.tcp.Close()
}
