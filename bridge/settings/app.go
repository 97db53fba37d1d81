// Package settings is what a bridge and its apps are configured to be, and what follows
// for notifications: to which endpoint they go, under which topic and credential, and
// within which bounds.
package settings

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	"apnsbridge/bridge/pushtype"
	"apnsbridge/bridge/upstream"
)

// Environment is one of APNs' two worlds, or says that the port decides.
type Environment uint8

// A device token is good in one environment only.
const (
	Production Environment = iota
	Sandbox
	ByListener // of an App: that of the port or name which its provider speaks to
)

// String names the environment as the spool does.
func (e Environment) String() string { return [...]string{"production", "sandbox", "by-listener"}[e] }

// OnBadToken says what a provider hears of a token that APNs does not know.
type OnBadToken uint8

// Topics whose payloads are always the same cannot have resends told apart:
// ByTopic continues for these (pushtype.IsUniform), and reports for others.
const (
	ByTopic  OnBadToken = iota
	Report              // an error packet, after which the connection ends
	Continue            // nothing: the token goes to feedback
)

// App is one app as it is configured.
type App struct {
	Name            string
	Topic           string // empty: from the provider's certificate
	Environment     Environment
	Endpoint        string         // https://host:port instead of Apple's; empty: Apple's
	SandboxEndpoint string         // the same of Sandbox alone; empty: as Endpoint
	EndpointCA      *x509.CertPool // who vouches for the endpoint; nil: the system's
	Proxy           *url.URL       // a proxy that knows CONNECT; nil: none
	Credentials     []Credential
	PushType        string // "", "auto", or the type of every push
	OnBadToken      OnBadToken
	Strict          bool // what is not known here goes to the provider as status 255
	DryRun          bool // everything but the way to APNs: what is taken goes nowhere
	NoDoubt         bool // APNs is believed that tokens are bad, however many it refuses in a row
}

// Check reports what is wrong with the app, as a sentence for the one who configured it.
func (a App) Check(now time.Time) error {
	if err := a.checkCredentials(now); err != nil {
		return err
	}
	for _, endpoint := range []string{a.Endpoint, a.SandboxEndpoint} {
		u, err := url.Parse(endpoint)
		if endpoint != "" && (err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
			return fmt.Errorf("app %s: endpoint %q must be like https://host:port", a.Name, endpoint)
		}
	}
	return nil
}

// Same reports whether b leads to the same connections as a.
func (a App) Same(b App) bool {
	if !a.EndpointCA.Equal(b.EndpointCA) || !sameCredentials(a.Credentials, b.Credentials) ||
		(a.Proxy == nil) != (b.Proxy == nil) {
		return false
	}
	if a.Proxy != nil && a.Proxy.String() != b.Proxy.String() {
		return false
	}
	return a.Endpoint == b.Endpoint && a.SandboxEndpoint == b.SandboxEndpoint &&
		a.Environment == b.Environment && a.DryRun == b.DryRun
}

// TopicOf is the topic of what comes from a provider whose certificate names one.
func (a App) TopicOf(certificate string) string { return cmp.Or(a.Topic, certificate) }

// Continues reports whether a bad token is not told to a provider whose certificate
// names a topic.
func (a App) Continues(certificate string) bool {
	switch a.OnBadToken {
	case Report:
		return false
	case Continue:
		return true
	}
	return pushtype.IsUniform(a.TopicOf(certificate))
}

// EnvironmentOf is where notifications go that come by a listener of the environment e.
func (a App) EnvironmentOf(e Environment) Environment {
	if a.Environment == ByListener {
		return e
	}
	return a.Environment
}

// Environments are those to which notifications of the app go.
func (a App) Environments() []Environment {
	if a.Environment == ByListener {
		return []Environment{Production, Sandbox}
	}
	return []Environment{a.Environment}
}

// EndpointFor is where the app's notifications for an environment go.
func (a App) EndpointFor(e Environment) upstream.Endpoint {
	apple := "https://api.push.apple.com"
	if e == Sandbox {
		apple = "https://api.sandbox.push.apple.com"
	}
	url := cmp.Or(strings.TrimRight(a.ownEndpoint(e), "/"), apple)
	return upstream.Endpoint{URL: url, CA: a.EndpointCA, Proxy: a.Proxy}
}

// ownEndpoint is the one that is configured for an environment, if one is.
func (a App) ownEndpoint(e Environment) string {
	if e == Sandbox {
		return cmp.Or(a.SandboxEndpoint, a.Endpoint)
	}
	return a.Endpoint
}

// Fingerprint names what decides which of the app's device tokens APNs takes under a topic:
// credential, endpoint, environment and that topic.
func (a App) Fingerprint(e Environment, topic string) string {
	digest := a.CredentialFor(e, topic).Digest()
	what := fmt.Appendf(digest[:], "\x00%s\x00%s\x00%s", a.ownEndpoint(e), e, topic)
	if a.DryRun {
		what = append(what, "\x00dry run"...) // in which nothing speaks for the app
	}
	sum := sha256.Sum256(what)
	return hex.EncodeToString(sum[:12])
}
