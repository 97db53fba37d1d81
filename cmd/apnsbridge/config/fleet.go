package config

import (
	"net"
	"regexp"
	"time"
)

// Postgres is the PostgreSQL in which a fleet keeps its state.
type Postgres struct {
	URL          string `yaml:"url" is:"url"`            // as libpq takes it
	PasswordFile string `yaml:"password_file" is:"file"` // in place of a password in URL
	Schema       string `yaml:"schema"`                  // empty: apnsbridge
}

// Fleet makes this gateway a node of a fleet. Without a listener there is no fleet.
type Fleet struct {
	Node        string `yaml:"node"`                  // empty: the host's name
	Listen      string `yaml:"listen"`                // address at which the other nodes reach this one
	Certificate string `yaml:"certificate" is:"file"` // PEM file, issued by CA
	Key         string `yaml:"key" is:"file"`         // PEM file
	CA          string `yaml:"ca" is:"file"`          // PEM file: whoever has a certificate of this CA is a node
}

// Configured reports whether there is a fleet.
func (f Fleet) Configured() bool { return f != Fleet{} }

var (
	nodeName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)
	schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
)

// NameNode returns why a name cannot be a node's, "" if it can.
func NameNode(name string) string {
	if nodeName.MatchString(name) {
		return ""
	}
	return "use at most 32 letters, digits, dots and dashes"
}

func (c *Config) validateFleet(s *source) {
	f, p := c.Fleet, c.Store.Postgres
	if p.Schema != "" && !schemaName.MatchString(p.Schema) {
		s.reject("store.postgres.schema", "%q cannot name a schema: use small letters, digits and _", Clip(p.Schema))
	}
	switch {
	case !f.Configured() && p == Postgres{}:
		return
	case !f.Configured():
		s.reject("store.postgres", "PostgreSQL is for several gateways that are one: say under fleet which node this "+
			"is, or remove it")
		return
	}
	require(s, "store.postgres.url", p.URL, "name the fleet's PostgreSQL, like postgres://apns@db1,db2/apns")
	require(s, "fleet.certificate", f.Certificate, "name the PEM file that the other nodes are shown")
	require(s, "fleet.key", f.Key, "name the PEM file with the certificate's key")
	require(s, "fleet.ca", f.CA, "name the PEM file of the fleet's own CA, which is not the providers'")
	if f.Node != "" {
		if why := NameNode(f.Node); why != "" {
			s.reject("fleet.node", "%q cannot name a node: %s", Clip(f.Node), why)
		}
	}
	if require(s, "fleet.listen", f.Listen, "name an address at which the other nodes reach this one, like "+
		"10.0.0.1:2194"); f.Listen != "" {
		checkAddress(s, "fleet.listen", f.Listen)
		if host, _, err := net.SplitHostPort(f.Listen); err == nil && (host == "" || net.ParseIP(host).IsUnspecified()) {
			s.reject("fleet.listen", "%q is no address at which the other nodes reach this one: write one, like "+
				"10.0.0.1:2194", Clip(f.Listen))
		}
	}
	if c.Spool.Mode == "off" {
		s.reject("spool.mode", "a node of a fleet needs a spool: what waits goes with its app to the next node. Choose "+
			"overflow or always")
	}
	if low, high := c.Limits.FleetLease, c.Limits.FleetClaim; high < low {
		s.reject("limits.fleet_claim", "%v is less than fleet_lease, %v: a dead node's app cannot be claimed earlier",
			time.Duration(high), time.Duration(low))
	}
}
