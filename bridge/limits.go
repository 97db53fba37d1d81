package bridge

import (
	"cmp"
	"time"

	"apnsbridge/bridge/upstream"
	"apnsbridge/pace"
)

// Limits are the bounds of a bridge. A field that is zero has its default.
type Limits struct {
	Window         int           // notifications a connection has without a verdict, before it is not read further; 1,000
	QueuedBytes    int64         // bytes of all notifications without a verdict, in the process; 64 MiB
	Connections    int           // HTTP/2 connections in use, for an app and environment: it begins with one; 16
	Streams        int           // requests in flight on a connection, where APNs allows more; 1,000
	RequestTimeout time.Duration // how long APNs may take for one answer; 30 s
	DialTimeout    time.Duration // how long a connection may take until APNs' SETTINGS are read; 15 s
	DialInterval   time.Duration // the least between two connections to an endpoint, for APNs takes rapid reconnecting for an attack; 1 s
	ConnectionAge  time.Duration // after which a connection is replaced, or up to a quarter before; 4 h
	PingAfter      time.Duration // of silence, APNs is asked for a sign of life; 15 s
	PingTimeout    time.Duration // for that; 10 s
	RetryDelay     time.Duration // how long a notification waits for its next attempt, or an app's notifications for a probe; twice that the next time; 1 s
	RetryDelayMax  time.Duration // and so on up to this; 2 min

	BadTokenTTL         time.Duration // how long a refused token is answered without asking APNs; 5 min
	BadTokenTTLRepeated time.Duration // and after a second refusal; 30 min
	BadTokenEntries     int           // how many are remembered, for an app; 100,000

	ClientRate pace.Rate // of the notifications of a client, over all its connections; 1,000,000 a second
	SpoolAhead int64     // bytes that are read ahead from the spool for an app and environment; 4 MiB

	WaitingDevices int // devices that are remembered to wait for their next attempt, in the process; 200,000
	TopicsPerApp   int // topics of an app's certificates that are served at a time, in an environment; 1,000

	TraceEntries int // notifications whose trace is kept, with a KiB each; 10,000

	LedgerBytes          int64         // of all that is remembered behind error packets; 64 MiB
	LedgerBytesPerClient int64         // of that, for one client; 16 MiB
	LedgerTTL            time.Duration // how long it is, for a kind of provider not known to send again; 600 s
	LedgerTTLProven      time.Duration // and for one that is; 3600 s
}

func (l Limits) withDefaults() Limits {
	up := l.upstream().WithDefaults()
	return Limits{
		Window:         cmp.Or(l.Window, 1000),
		QueuedBytes:    cmp.Or(l.QueuedBytes, 64<<20),
		Connections:    up.Connections,
		Streams:        up.Streams,
		RequestTimeout: up.RequestTimeout,
		DialTimeout:    up.DialTimeout,
		DialInterval:   up.DialInterval,
		ConnectionAge:  up.ConnectionAge,
		PingAfter:      up.PingAfter,
		PingTimeout:    up.PingTimeout,
		RetryDelay:     cmp.Or(l.RetryDelay, time.Second),
		RetryDelayMax:  cmp.Or(l.RetryDelayMax, 2*time.Minute),

		BadTokenTTL:         cmp.Or(l.BadTokenTTL, 5*time.Minute),
		BadTokenTTLRepeated: cmp.Or(l.BadTokenTTLRepeated, 30*time.Minute),
		BadTokenEntries:     cmp.Or(l.BadTokenEntries, 100_000),

		ClientRate: l.ClientRate.Or(pace.Rate{Count: 1_000_000, Per: time.Second}),
		SpoolAhead: cmp.Or(l.SpoolAhead, 4<<20),

		WaitingDevices: cmp.Or(l.WaitingDevices, 200_000),
		TopicsPerApp:   cmp.Or(l.TopicsPerApp, 1000),

		TraceEntries: cmp.Or(l.TraceEntries, 10_000),

		LedgerBytes:          cmp.Or(l.LedgerBytes, 64<<20),
		LedgerBytesPerClient: cmp.Or(l.LedgerBytesPerClient, 16<<20),
		LedgerTTL:            cmp.Or(l.LedgerTTL, 600*time.Second),
		LedgerTTLProven:      cmp.Or(l.LedgerTTLProven, 3600*time.Second),
	}
}

// upstream gives those that are the connections' to APNs.
func (l Limits) upstream() upstream.Limits {
	return upstream.Limits{
		Connections: l.Connections, Streams: l.Streams, RequestTimeout: l.RequestTimeout,
		DialTimeout: l.DialTimeout, DialInterval: l.DialInterval, ConnectionAge: l.ConnectionAge,
		PingAfter: l.PingAfter, PingTimeout: l.PingTimeout,
	}
}
