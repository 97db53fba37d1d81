// Package config reads apnsbridge.yaml, strictly: an unknown key, a value out of range and a
// reference to an unset variable are errors that name the line.
package config

import (
	"path/filepath"

	"apnsbridge/bridge/defaults"
)

// Config is a whole configuration, with defaults for what the file does not set.
type Config struct {
	Gateway  Port           `yaml:"gateway"`
	Feedback Port           `yaml:"feedback"`
	Admin    Admin          `yaml:"admin"`
	TLS      TLS            `yaml:"tls"`
	Store    Store          `yaml:"store"`
	Fleet    Fleet          `yaml:"fleet"`
	Spool    Spool          `yaml:"spool"`
	Apps     map[string]App `yaml:"apps"`
	Limits   Limits         `yaml:"limits"`

	Include Strings `yaml:"include"`            // further configuration files, or patterns of their names
	AppsDir string  `yaml:"apps_dir" is:"file"` // a directory with a file NAME.yaml for each app

	file    string
	secrets []Secret
}

// Port is a port that providers connect to.
type Port struct {
	Listen Addresses `yaml:"listen"`
}

// Addresses is one address or a list of them.
type Addresses []Address

// Address is a host and port to listen on.
type Address struct {
	Address     string `yaml:"address"`
	Environment string `yaml:"environment"` // for apps whose environment is by-listener

	// ProxyProtocol is the networks whose connections begin with a PROXY header.
	ProxyProtocol Networks `yaml:"proxy_protocol"`
}

// TLS is what the gateway shows to providers.
type TLS struct {
	Certificate   string   `yaml:"certificate" is:"file"` // PEM file
	Key           string   `yaml:"key" is:"file"`         // PEM file
	Certificates  []Pair   `yaml:"certificates"`          // in place of these two: RSA and ECDSA side by side
	MinVersion    string   `yaml:"min_version"`
	LegacyCiphers bool     `yaml:"legacy_ciphers"`
	Terminated    Networks `yaml:"terminated"` // networks in which TLS is terminated already
}

// Pair is a certificate and its key.
type Pair struct {
	Certificate string `yaml:"certificate" is:"file"` // PEM file
	Key         string `yaml:"key" is:"file"`         // PEM file
}

// Pairs returns the certificates: the single one or the list.
func (t TLS) Pairs() []Pair {
	if len(t.Certificates) > 0 {
		return t.Certificates
	}
	return []Pair{{t.Certificate, t.Key}}
}

// Store is where the bridge keeps its state.
type Store struct {
	Path     string   `yaml:"path" is:"file"` // a directory
	Postgres Postgres `yaml:"postgres"`       // of a fleet
}

// Spool says which notifications wait on disk.
type Spool struct {
	Mode     string `yaml:"mode"`
	MaxBytes Size   `yaml:"max_bytes"`
}

// App is one app on APNs: its topic, our credential for it, and the clients that may push
// to it.
type App struct {
	Topic       string      `yaml:"topic"`
	Environment string      `yaml:"environment"`
	Endpoint    Endpoint    `yaml:"endpoint" is:"url"`
	EndpointCA  string      `yaml:"endpoint_ca" is:"file"`
	Proxy       string      `yaml:"proxy" is:"url"`
	Credential  Credentials `yaml:"credential"`
	Clients     []Client    `yaml:"clients"`
	PushType    string      `yaml:"push_type"`
	OnBadToken  string      `yaml:"on_bad_token"`
	Strict      bool        `yaml:"strict"`
	DryRun      bool        `yaml:"dry_run"`
	Doubt       *bool       `yaml:"doubt"` // nil: true

	dir string // of the app's file in apps_dir
}

// TopicFromCertificate is the topic of an app that takes it from the provider's certificate.
const TopicFromCertificate = "from-certificate"

// Client is one way to be admitted: it has exactly one of SHA256, SPKISHA256, CA and
// CIDR. CA goes with UID or Any; SPKISHA256 goes with what the key's owner may push to, UID
// or Topics.
type Client struct {
	SHA256     Fingerprint    `yaml:"sha256"`
	SPKISHA256 KeyFingerprint `yaml:"spki_sha256"`
	CA         string         `yaml:"ca" is:"file"` // PEM file
	UID        string         `yaml:"uid"`
	Any        bool           `yaml:"any"`
	Topics     Strings        `yaml:"topics"`
	CIDR       string         `yaml:"cidr"`
}

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Gateway:  Port{Listen: Addresses{{Address: ":2195"}}},
		Feedback: Port{Listen: Addresses{{Address: ":2196"}}},
		Admin:    Admin{Listen: "127.0.0.1:9195"},
		TLS:      TLS{MinVersion: "1.2"},
		Store:    Store{Path: "data"},
		Spool:    Spool{Mode: "overflow", MaxBytes: defaults.SpoolBytes},
		Limits:   defaultLimits(),
	}
}

// File is the file that the configuration was read from.
func (c *Config) File() string { return c.file }

// Path returns the path of a file that the configuration names, relative to the directory of
// the configuration.
func (c *Config) Path(name string) string {
	if IsKeyText(name) {
		return Clip(name) // which errors may show
	}
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(c.file), name)
}
