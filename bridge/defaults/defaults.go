// Package defaults has what each bound is that nothing sets: for a configuration, and
// for whoever uses the packages without one.
package defaults

import "time"

// Of a provider's connections.
const (
	HandshakeTimeout        = 10 * time.Second
	HelloBytes              = 16 << 10 // of a ClientHello
	Handshakes              = 256
	HandshakesPerAddress    = 32
	HandshakesASecond       = 500 // of an address
	Connections             = 10_000
	ConnectionsPerAddress   = 1000
	ConnectionsPerClient    = 5000
	AppConnectionsShare     = 10       // percent of Connections, that every app gets
	UnparsedBytes           = 64 << 10 // of a connection
	LingerIdle              = 10 * time.Minute
	LingerIdlePressure      = 5 * time.Second
	LingerTotal             = time.Hour
	Drain                   = 30 * time.Second
	NotificationsASecond    = 1_000_000 // of a client
	FeedbackStall           = time.Minute
	FeedbackTotal           = 10 * time.Minute
	FeedbackReadingsAMinute = 600 // of a client
)

// Of what is without a verdict.
const (
	Window           = 1000     // notifications of a connection
	QueuedBytes      = 64 << 20 // of the process
	WaitingDevices   = 200_000  // of the process: some 112 bytes each
	TopicsPerApp     = 1000     // in an environment
	SpoolAhead       = 4 << 20  // bytes, for an app and environment
	SpoolBytes       = 1 << 30
	SpoolReserve     = 16 << 20 // bytes beyond SpoolBytes
	SpoolDeviceShare = 1        // percent of SpoolBytes, for one device
)

// Of the way to APNs, for an app and environment.
const (
	APNsConnections    = 16
	APNsStreams        = 1000 // of a connection
	APNsConnectionAge  = 4 * time.Hour
	APNsDialInterval   = time.Second
	APNsDialTimeout    = 15 * time.Second
	APNsRequestTimeout = 30 * time.Second
	APNsPingAfter      = 15 * time.Second
	APNsPingTimeout    = 10 * time.Second
	RetryDelay         = time.Second
	RetryDelayMax      = 2 * time.Minute
)

// Of what is remembered.
const (
	FeedbackEntries      = 1_000_000 // of an app
	FeedbackAge          = 90 * 24 * time.Hour
	BadTokenTTL          = 5 * time.Minute
	BadTokenTTLRepeated  = 30 * time.Minute
	BadTokenEntries      = 100_000 // of an app: some 20 MB
	LedgerBytes          = 64 << 20
	LedgerBytesPerClient = 16 << 20
	LedgerTTL            = 10 * time.Minute
	LedgerTTLProven      = time.Hour
)

// Of a fleet.
const (
	FleetLease     = 6 * time.Second
	FleetClaim     = 8 * time.Second // that sessions wait for an app to be claimed
	FleetLinkBytes = 64 << 20        // on their way to another node
)

// Of operators.
const (
	TraceEntries     = 10_000 // notifications, with a KiB each
	AdminConnections = 64
	LogRate          = 64 << 10 // bytes a second
)
