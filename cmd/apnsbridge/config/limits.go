package config

import (
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/defaults"
)

// Limits are the bounds. Each value has its unit: 64KiB, 10s, 500/s, 1000.
type Limits struct {
	// For what a provider sends.
	Frame2Bytes      Size  `yaml:"frame2_bytes"`
	PayloadBytes     Size  `yaml:"payload_bytes"`
	VoIPPayloadBytes Size  `yaml:"voip_payload_bytes"`
	TokenBytes       Range `yaml:"token_bytes"`

	// For providers' connections.
	Loops                   Loops    `yaml:"loops"` // event loops
	HandshakeTimeout        Duration `yaml:"handshake_timeout"`
	HelloBytes              Size     `yaml:"hello_bytes"` // of a ClientHello
	Handshakes              Count    `yaml:"handshakes"`
	HandshakesPerAddress    Count    `yaml:"handshakes_per_address"`
	HandshakeRatePerAddress Rate     `yaml:"handshake_rate_per_address"`
	Connections             Count    `yaml:"connections"`
	ConnectionsPerAddress   Count    `yaml:"connections_per_address"`
	ConnectionsPerClient    Count    `yaml:"connections_per_client"`
	AppConnectionsShare     Share    `yaml:"app_connections_share"` // of connections, guaranteed to each app
	UnparsedBytes           Size     `yaml:"unparsed_bytes"`        // of a connection
	LingerIdle              Duration `yaml:"linger_idle"`
	LingerIdlePressure      Duration `yaml:"linger_idle_pressure"` // when there is no room for others
	LingerTotal             Duration `yaml:"linger_total"`         // even if the provider keeps writing
	Drain                   Duration `yaml:"drain"`

	NotificationRatePerClient Rate `yaml:"notification_rate_per_client"` // over all its connections

	// For notifications without a verdict.
	Window      Count `yaml:"window"`       // of a connection
	QueuedBytes Size  `yaml:"queued_bytes"` // of the process
	SpoolAhead  Size  `yaml:"spool_ahead"`  // read from disk for an app and environment

	WaitingDevices   Count `yaml:"waiting_devices"`    // of the process
	TopicsPerApp     Count `yaml:"topics_per_app"`     // from certificates, in an environment
	SpoolReserve     Size  `yaml:"spool_reserve"`      // beyond spool.max_bytes, for records that move within it
	SpoolDeviceShare Share `yaml:"spool_device_share"` // of spool.max_bytes, for one device

	// For connections to APNs, of an app in an environment.
	APNsConnections    Count    `yaml:"apns_connections"`
	APNsStreams        Count    `yaml:"apns_streams"` // of a connection
	APNsConnectionAge  Duration `yaml:"apns_connection_age"`
	APNsDialInterval   Duration `yaml:"apns_dial_interval"`
	APNsDialTimeout    Duration `yaml:"apns_dial_timeout"`
	APNsRequestTimeout Duration `yaml:"apns_request_timeout"`
	APNsPingAfter      Duration `yaml:"apns_ping_after"`
	APNsPingTimeout    Duration `yaml:"apns_ping_timeout"`
	RetryDelay         Duration `yaml:"retry_delay"`
	RetryDelayMax      Duration `yaml:"retry_delay_max"`

	// For what is remembered.
	FeedbackEntries       Count    `yaml:"feedback_entries"` // of an app
	FeedbackAge           Duration `yaml:"feedback_age"`
	FeedbackStall         Duration `yaml:"feedback_stall"`
	FeedbackTotal         Duration `yaml:"feedback_total"`
	FeedbackRatePerClient Rate     `yaml:"feedback_rate_per_client"`
	BadTokenTTL           Duration `yaml:"bad_token_ttl"`
	BadTokenTTLRepeated   Duration `yaml:"bad_token_ttl_repeated"`
	BadTokenEntries       Count    `yaml:"bad_token_entries"` // of an app
	LedgerBytes           Size     `yaml:"ledger_bytes"`
	LedgerBytesPerClient  Size     `yaml:"ledger_bytes_per_client"`
	LedgerTTL             Duration `yaml:"ledger_ttl"`
	LedgerTTLProven       Duration `yaml:"ledger_ttl_proven"`

	// For a fleet.
	FleetLease     Duration `yaml:"fleet_lease"`      // of a node
	FleetClaim     Duration `yaml:"fleet_claim"`      // how long sessions wait for their app to be claimed
	FleetLinkBytes Size     `yaml:"fleet_link_bytes"` // under way to another node

	// For operators.
	TraceEntries     Count `yaml:"trace_entries"` // notifications, of a KiB each
	AdminConnections Count `yaml:"admin_connections"`
	LogRate          Size  `yaml:"log_rate"` // bytes a second of lines below level error
}

// defaultLimits returns the defaults.
func defaultLimits() Limits {
	frames := binproto.DefaultParser()
	l := Limits{
		Frame2Bytes:      Size(frames.MaxFrame),
		PayloadBytes:     Size(frames.MaxPayload),
		VoIPPayloadBytes: 5120,
		TokenBytes:       Range{Min: frames.MinToken, Max: frames.MaxToken},

		HandshakeTimeout:        Duration(defaults.HandshakeTimeout),
		Handshakes:              defaults.Handshakes,
		HandshakesPerAddress:    defaults.HandshakesPerAddress,
		HandshakeRatePerAddress: Rate{defaults.HandshakesASecond, Duration(time.Second)},
		Connections:             defaults.Connections,
		ConnectionsPerAddress:   defaults.ConnectionsPerAddress,
		ConnectionsPerClient:    defaults.ConnectionsPerClient,
		AppConnectionsShare:     defaults.AppConnectionsShare,
		HelloBytes:              defaults.HelloBytes,
		UnparsedBytes:           defaults.UnparsedBytes,
		LingerIdle:              Duration(defaults.LingerIdle),
		LingerIdlePressure:      Duration(defaults.LingerIdlePressure),
		LingerTotal:             Duration(defaults.LingerTotal),
		Drain:                   Duration(defaults.Drain),

		NotificationRatePerClient: Rate{defaults.NotificationsASecond, Duration(time.Second)},

		Window:      defaults.Window,
		QueuedBytes: defaults.QueuedBytes,
		SpoolAhead:  defaults.SpoolAhead,

		WaitingDevices:   defaults.WaitingDevices,
		TopicsPerApp:     defaults.TopicsPerApp,
		SpoolReserve:     defaults.SpoolReserve,
		SpoolDeviceShare: defaults.SpoolDeviceShare,
	}
	l.setOnward()
	return l
}

// setOnward sets the defaults for everything after the ports: APNs, what is remembered, fleet and operators.
func (l *Limits) setOnward() {
	l.APNsConnections = defaults.APNsConnections
	l.APNsStreams = defaults.APNsStreams
	l.APNsConnectionAge = Duration(defaults.APNsConnectionAge)
	l.APNsDialInterval = Duration(defaults.APNsDialInterval)
	l.APNsDialTimeout = Duration(defaults.APNsDialTimeout)
	l.APNsRequestTimeout = Duration(defaults.APNsRequestTimeout)
	l.APNsPingAfter = Duration(defaults.APNsPingAfter)
	l.APNsPingTimeout = Duration(defaults.APNsPingTimeout)
	l.RetryDelay = Duration(defaults.RetryDelay)
	l.RetryDelayMax = Duration(defaults.RetryDelayMax)

	l.FeedbackEntries = defaults.FeedbackEntries
	l.FeedbackAge = Duration(defaults.FeedbackAge)
	l.FeedbackStall = Duration(defaults.FeedbackStall)
	l.FeedbackTotal = Duration(defaults.FeedbackTotal)
	l.FeedbackRatePerClient = Rate{defaults.FeedbackReadingsAMinute, Duration(time.Minute)}
	l.BadTokenTTL = Duration(defaults.BadTokenTTL)
	l.BadTokenTTLRepeated = Duration(defaults.BadTokenTTLRepeated)
	l.BadTokenEntries = defaults.BadTokenEntries
	l.LedgerBytes = defaults.LedgerBytes
	l.LedgerBytesPerClient = defaults.LedgerBytesPerClient
	l.LedgerTTL = Duration(defaults.LedgerTTL)
	l.LedgerTTLProven = Duration(defaults.LedgerTTLProven)

	l.FleetLease = Duration(defaults.FleetLease)
	l.FleetClaim = Duration(defaults.FleetClaim)
	l.FleetLinkBytes = defaults.FleetLinkBytes

	l.TraceEntries = defaults.TraceEntries
	l.AdminConnections = defaults.AdminConnections
	l.LogRate = defaults.LogRate
}
