package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"apnsbridge/binproto"
)

// Config is one node's side of its links.
type Config struct {
	Node        string // our name
	Certificate tls.Certificate
	CA          *x509.CertPool // of the fleet

	Bytes     int64         // that may be under way on one link; 0 is DefaultBytes
	Sessions  int           // of one link; 0 is DefaultSessions
	Handshake time.Duration // time until both know who the other is; 0 is 5 s
	Alive     time.Duration // between two signs of life; 0 is a second. When five fail to come, the link ends
	State     func() byte   // what each sign of life tells the other side; nil: 0
}

// The defaults of a link's bounds.
const (
	DefaultBytes    int64 = 64 << 20
	DefaultSessions       = 10_000
)

// The window of a session: how much of it may be under way.
const (
	windowNotifications = 1000
	windowBytes         = 256 << 10
)

const (
	silences   = 5       // how many signs of life may fail to come
	maxOrigin  = 8 << 10 // bytes that say whose connection it is
	maxControl = 4 << 20 // bytes that may wait to be written beside what has credit
	maxBehind  = 4 << 20 // bytes of one session that may wait for credit after its packet
)

func (c Config) withDefaults() Config {
	if c.Bytes == 0 {
		c.Bytes = DefaultBytes
	}
	if c.Sessions == 0 {
		c.Sessions = DefaultSessions
	}
	if c.Handshake == 0 {
		c.Handshake = 5 * time.Second
	}
	if c.Alive == 0 {
		c.Alive = time.Second
	}
	if c.State == nil {
		c.State = func() byte { return 0 }
	}
	return c
}

// Session is a provider's connection as the owner's bridge takes it. Its methods are
// called one at a time, in the order of the stream, and do not block.
type Session interface {
	Push(n *binproto.Notification) (room bool)
	Reject(n *binproto.Notification, status binproto.Status) (room bool)
	ReadOn()
	Shutdown(heard bool)
	Close(err error)

	// Leave makes the session end as soon as its provider pauses in writing, or when
	// patience is over. It may be called at any time.
	Leave(patience time.Duration)
}

// Peer is the provider at the other end of a session. Its methods return at once and
// may be called from any goroutine.
type Peer interface {
	Fail(status binproto.Status, identifier uint32, within time.Duration)
	Resume()
	Close()
}

// Provider is a provider's connection. Cut ends it at once, as if the process had died: what
// the provider has sent may be lost, and nothing must suggest to it that it was delivered.
type Provider interface {
	Peer
	Cut()
}

// Reader is a client of the feedback port, as a store.Reader.
type Reader interface {
	Write(tuples []byte) error
	Finish() (confirmed bool, err error)
	Acknowledged() bool
}

var (
	errBroken    = errors.New("link: the provider's connection broke at the entry")
	errClosed    = errors.New("link: closed")
	errSilent    = errors.New("link: the other node is silent")
	errStrangers = errors.New("link: too many connections that do not show who they are")
	errLinks     = errors.New("link: too many links")
	errControl   = errors.New("link: the other node does not read what is written to it")
)
