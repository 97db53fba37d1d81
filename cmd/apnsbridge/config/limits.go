package config

import "time"

// Limits are the bounds. Each has its unit in its value: 64KiB, 10s, 500/s, 1000.
type Limits struct {
	// Of what a provider sends.
	Frame2Bytes      Size  `yaml:"frame2_bytes"`
	PayloadBytes     Size  `yaml:"payload_bytes"`
	VoIPPayloadBytes Size  `yaml:"voip_payload_bytes"`
	TokenBytes       Range `yaml:"token_bytes"`

	// Of its connections.
	Loops                   Loops    `yaml:"loops"` // event loops
	HandshakeTimeout        Duration `yaml:"handshake_timeout"`
	HelloBytes              Size     `yaml:"hello_bytes"` // of a ClientHello
	Handshakes              Count    `yaml:"handshakes"`
	HandshakesPerAddress    Count    `yaml:"handshakes_per_address"`
	HandshakeRatePerAddress Rate     `yaml:"handshake_rate_per_address"`
	Connections             Count    `yaml:"connections"`
	ConnectionsPerAddress   Count    `yaml:"connections_per_address"`
	ConnectionsPerClient    Count    `yaml:"connections_per_client"`
	AppConnectionsShare     Share    `yaml:"app_connections_share"` // of connections, that every app gets
	UnparsedBytes           Size     `yaml:"unparsed_bytes"`        // of a connection
	LingerIdle              Duration `yaml:"linger_idle"`
	LingerIdlePressure      Duration `yaml:"linger_idle_pressure"` // when there is no room for others
	LingerTotal             Duration `yaml:"linger_total"`         // however much the provider still writes
	Drain                   Duration `yaml:"drain"`

	NotificationRatePerClient Rate `yaml:"notification_rate_per_client"` // over all its connections

	// Of what is without a verdict.
	Window      Count `yaml:"window"`       // of a connection
	QueuedBytes Size  `yaml:"queued_bytes"` // of the process
	SpoolAhead  Size  `yaml:"spool_ahead"`  // read from disk for an app and environment

	WaitingDevices   Count `yaml:"waiting_devices"`    // of the process
	TopicsPerApp     Count `yaml:"topics_per_app"`     // of certificates, in an environment
	SpoolReserve     Size  `yaml:"spool_reserve"`      // beyond spool.max_bytes, for what moves within it
	SpoolDeviceShare Share `yaml:"spool_device_share"` // of spool.max_bytes, for one device

	// Of the way to APNs, for an app and environment.
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

	// Of what is remembered.
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

	// Of operators.
	TraceEntries     Count `yaml:"trace_entries"` // notifications, with a KiB each
	AdminConnections Count `yaml:"admin_connections"`
	LogRate          Size  `yaml:"log_rate"` // bytes a second of lines below an error
}

func defaultLimits() Limits {
	return Limits{
		Frame2Bytes:      256 << 10,
		PayloadBytes:     4096,
		VoIPPayloadBytes: 5120,
		TokenBytes:       Range{Min: 32, Max: 100},

		HandshakeTimeout:        Duration(10 * time.Second),
		Handshakes:              256,
		HandshakesPerAddress:    32,
		HandshakeRatePerAddress: Rate{500, Duration(time.Second)},
		Connections:             10_000,
		ConnectionsPerAddress:   1000,
		ConnectionsPerClient:    5000,
		AppConnectionsShare:     10,
		HelloBytes:              16 << 10,
		UnparsedBytes:           64 << 10,
		LingerIdle:              Duration(10 * time.Minute),
		LingerIdlePressure:      Duration(5 * time.Second),
		LingerTotal:             Duration(time.Hour),
		Drain:                   Duration(30 * time.Second),

		NotificationRatePerClient: Rate{1_000_000, Duration(time.Second)},

		Window:      1000,
		QueuedBytes: 64 << 20,
		SpoolAhead:  4 << 20,

		WaitingDevices:   200_000,
		TopicsPerApp:     1000,
		SpoolReserve:     16 << 20,
		SpoolDeviceShare: 1,

		APNsConnections:    16,
		APNsStreams:        1000,
		APNsConnectionAge:  Duration(4 * time.Hour),
		APNsDialInterval:   Duration(time.Second),
		APNsDialTimeout:    Duration(15 * time.Second),
		APNsRequestTimeout: Duration(30 * time.Second),
		APNsPingAfter:      Duration(15 * time.Second),
		APNsPingTimeout:    Duration(10 * time.Second),
		RetryDelay:         Duration(time.Second),
		RetryDelayMax:      Duration(2 * time.Minute),

		FeedbackEntries:       1_000_000,
		FeedbackAge:           Duration(90 * 24 * time.Hour),
		FeedbackStall:         Duration(time.Minute),
		FeedbackTotal:         Duration(10 * time.Minute),
		FeedbackRatePerClient: Rate{600, Duration(time.Minute)},
		BadTokenTTL:           Duration(5 * time.Minute),
		BadTokenTTLRepeated:   Duration(30 * time.Minute),
		BadTokenEntries:       100_000,
		LedgerBytes:           64 << 20,
		LedgerBytesPerClient:  16 << 20,
		LedgerTTL:             Duration(10 * time.Minute),
		LedgerTTLProven:       Duration(time.Hour),

		TraceEntries:     10_000,
		AdminConnections: 64,
		LogRate:          64 << 10,
	}
}
