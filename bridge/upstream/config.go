package upstream

import (
	"cmp"
	"time"

	"apnsbridge/bridge/defaults"

	"github.com/rs/zerolog"
)

// Config is what an Upstream is made of.
type Config struct {
	App        string // for the log
	Endpoint   Endpoint
	Credential *Credential
	Limits     Limits
	Log        zerolog.Logger
	Now        func() time.Time // nil: time.Now

	// Begin reports whether an attempt at p is to be made. If so it sets p.Sent
	// and counts p.Attempts; if not, p is its owner's again. now is what Now gave for all
	// that are begun together. It is called on one goroutine, and holds up all others
	// while it runs.
	Begin func(p *Push, now time.Time) bool

	// Fetch, if set, is called for some pushes before Begin is for the first of them, and for
	// all whose verdicts have come together before the first is Answered. It may bring what
	// these look at into the processor's caches.
	Fetch func(p *Push)

	// Answered takes the verdict on p, which is its owner's again. now is what Now gave for
	// all verdicts that came together. It is called from any goroutine and with no lock
	// held, and holds up other verdicts of the same connection while it runs.
	Answered func(p *Push, v Verdict, now time.Time)

	// Trouble, if set, is told what APNs says of the connection and not of a push:
	// the reason of a GOAWAY that all others would hear too (CredentialRefused,
	// TopicRefused, StaleToken, TokenUpdates, ServerError), once a connection, after
	// the pushes it hit were answered with the same class; or ServerError for a
	// connection on which nothing can be sent; or Unprocessed, if one connection after
	// the other ends behind a few answers. It is called like Answered.
	Trouble func(v Verdict)
}

// Limits are the bounds of an Upstream. A field that is zero has its default, of package
// defaults.
type Limits struct {
	Connections    int           // HTTP/2 connections in use: it begins with one
	Streams        int           // requests in flight on a connection, where APNs allows more
	RequestTimeout time.Duration // how long APNs may take for one answer
	DialTimeout    time.Duration // how long a connection may take until APNs' SETTINGS are read
	DialInterval   time.Duration // the least between two connections, for APNs takes rapid reconnecting for an attack
	ConnectionAge  time.Duration // after which a connection is replaced, or up to a quarter before
	PingAfter      time.Duration // of silence, APNs is asked for a sign of life
	PingTimeout    time.Duration // for that
}

// WithDefaults returns l with the defaults where it has none of its own.
func (l Limits) WithDefaults() Limits {
	return Limits{
		Connections:    cmp.Or(l.Connections, defaults.APNsConnections),
		Streams:        cmp.Or(l.Streams, defaults.APNsStreams),
		RequestTimeout: cmp.Or(l.RequestTimeout, defaults.APNsRequestTimeout),
		DialTimeout:    cmp.Or(l.DialTimeout, defaults.APNsDialTimeout),
		DialInterval:   cmp.Or(l.DialInterval, defaults.APNsDialInterval),
		ConnectionAge:  cmp.Or(l.ConnectionAge, defaults.APNsConnectionAge),
		PingAfter:      cmp.Or(l.PingAfter, defaults.APNsPingAfter),
		PingTimeout:    cmp.Or(l.PingTimeout, defaults.APNsPingTimeout),
	}
}
