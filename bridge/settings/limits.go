package settings

import (
	"cmp"
	"time"

	"apnsbridge/bridge/defaults"
	"apnsbridge/bridge/pace"
	"apnsbridge/bridge/upstream"
)

// Limits are the bounds of a bridge. A field that is zero has its default, of package
// defaults.
type Limits struct {
	Window         int           // notifications a connection has without a verdict, before it is not read further
	QueuedBytes    int64         // bytes of all notifications without a verdict, in the process
	Connections    int           // HTTP/2 connections in use, for an app and environment: it begins with one
	Streams        int           // requests in flight on a connection, where APNs allows more
	RequestTimeout time.Duration // how long APNs may take for one answer
	DialTimeout    time.Duration // how long a connection may take until APNs' SETTINGS are read
	DialInterval   time.Duration // between two connections to an endpoint: APNs takes rapid reconnecting for an attack
	ConnectionAge  time.Duration // after which a connection is replaced, or up to a quarter before
	PingAfter      time.Duration // of silence, APNs is asked for a sign of life
	PingTimeout    time.Duration // for that
	RetryDelay     time.Duration // the first wait of a notification for its next attempt, or of an app for a probe; it doubles
	RetryDelayMax  time.Duration // and so on up to this

	BadTokenTTL         time.Duration // how long a refused token is answered without asking APNs
	BadTokenTTLRepeated time.Duration // and after a second refusal
	BadTokenEntries     int           // how many are remembered, for an app

	ClientRate pace.Rate // of the notifications of a client, over all its connections
	SpoolAhead int64     // bytes that are read ahead from the spool for an app and environment

	WaitingDevices int // devices that are remembered to wait for their next attempt, in the process
	TopicsPerApp   int // topics of an app's certificates that are served at a time, in an environment

	TraceEntries int // notifications whose trace is kept, with a KiB each

	LedgerBytes          int64         // of all that is remembered behind error packets
	LedgerBytesPerClient int64         // of that, for one client
	LedgerTTL            time.Duration // how long it is, for a kind of provider not known to send again
	LedgerTTLProven      time.Duration // and for one that is
}

// WithDefaults gives each field that is zero its default.
func (l Limits) WithDefaults() Limits {
	up := l.Upstream().WithDefaults()
	return Limits{
		Window:         cmp.Or(l.Window, defaults.Window),
		QueuedBytes:    cmp.Or(l.QueuedBytes, defaults.QueuedBytes),
		Connections:    up.Connections,
		Streams:        up.Streams,
		RequestTimeout: up.RequestTimeout,
		DialTimeout:    up.DialTimeout,
		DialInterval:   up.DialInterval,
		ConnectionAge:  up.ConnectionAge,
		PingAfter:      up.PingAfter,
		PingTimeout:    up.PingTimeout,
		RetryDelay:     cmp.Or(l.RetryDelay, defaults.RetryDelay),
		RetryDelayMax:  cmp.Or(l.RetryDelayMax, defaults.RetryDelayMax),

		BadTokenTTL:         cmp.Or(l.BadTokenTTL, defaults.BadTokenTTL),
		BadTokenTTLRepeated: cmp.Or(l.BadTokenTTLRepeated, defaults.BadTokenTTLRepeated),
		BadTokenEntries:     cmp.Or(l.BadTokenEntries, defaults.BadTokenEntries),

		ClientRate: l.ClientRate.Or(pace.Rate{Count: defaults.NotificationsASecond, Per: time.Second}),
		SpoolAhead: cmp.Or(l.SpoolAhead, defaults.SpoolAhead),

		WaitingDevices: cmp.Or(l.WaitingDevices, defaults.WaitingDevices),
		TopicsPerApp:   cmp.Or(l.TopicsPerApp, defaults.TopicsPerApp),

		TraceEntries: cmp.Or(l.TraceEntries, defaults.TraceEntries),

		LedgerBytes:          cmp.Or(l.LedgerBytes, defaults.LedgerBytes),
		LedgerBytesPerClient: cmp.Or(l.LedgerBytesPerClient, defaults.LedgerBytesPerClient),
		LedgerTTL:            cmp.Or(l.LedgerTTL, defaults.LedgerTTL),
		LedgerTTLProven:      cmp.Or(l.LedgerTTLProven, defaults.LedgerTTLProven),
	}
}

// Upstream gives those that are the connections' to APNs.
func (l Limits) Upstream() upstream.Limits {
	return upstream.Limits{
		Connections: l.Connections, Streams: l.Streams, RequestTimeout: l.RequestTimeout,
		DialTimeout: l.DialTimeout, DialInterval: l.DialInterval, ConnectionAge: l.ConnectionAge,
		PingAfter: l.PingAfter, PingTimeout: l.PingTimeout,
	}
}
