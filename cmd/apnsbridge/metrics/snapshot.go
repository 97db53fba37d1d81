package metrics

import (
	"time"

	"apnsbridge/bridge"
	"apnsbridge/gateway"
	"apnsbridge/store/boltstore"
)

// Snapshot is how the gateway stands, in the words of its parts.
type Snapshot struct {
	Version  string
	Bridge   bridge.Stats
	Push     gateway.Stats
	Feedback gateway.FeedbackStats
	Store    boltstore.Stats
	Fleet    *Fleet            // nil: there is none
	Troubles map[string]string // by app: why APNs does not take its notifications

	Credentials  map[string]time.Time // by app: when its push certificate expires
	Certificates map[string]time.Time // by section of the configuration: when a certificate of ours does
	Limits       []Limit
	Reloads      Reloads
	OldTLS       map[OldTLS]uint64 // connections since the start
	SHA1         uint64            // handshakes of TLS 1.2 that were signed with SHA-1
	Revoked      Revoked
	Admin        Admin
	Log          Log
}

// Limit is a bound, by its name in the configuration, and what is used of it. Where it
// is one of each address, client or app, Used is that of the busiest.
type Limit struct {
	Name      string
	Used, Max int64
}

// Reloads are the figures of what is read anew while the gateway runs.
type Reloads struct {
	Configurations map[string]uint64 // by result
	Certificates   map[SectionResult]uint64
	Loaded         int64 // when the present configuration was read, in seconds since 1970
	Refused        bool  // the last one that was read is of no use
}

// SectionResult is what became of the files that a section of the configuration names.
type SectionResult struct{ Section, Result string }

// OldTLS is a way of using old TLS: whose, how, and with which library (JA3).
type OldTLS struct{ App, Version, Cipher, Client string }

// Revoked are the figures of connections that reloads have ended.
type Revoked struct {
	Connections uint64
	Frames      uint64 // sent in spite of it, and not taken
}

// Admin are the figures of the admin port.
type Admin struct {
	Connections      int    // open, against limits.admin_connections
	OverLimit        uint64 // connections that were one too many, and had a second
	HandshakesFailed uint64 // no TLS, or no certificate of admin.client_ca
	Unauthorized     uint64 // requests without the right token
	Forbidden        uint64 // requests that a web page may have sent
}

// Log are the figures of the log.
type Log struct {
	Queued   int    // bytes that wait to be written; 1 MiB at most
	Lines    uint64 // written
	Bytes    uint64
	Dropped  uint64 // lines: the log's reader stalls or is gone
	OverRate uint64 // lines: limits.log_rate
	Cut      uint64 // lines that were too long, of which the beginning was written
}
