package bridge

import (
	"cmp"
	"crypto/x509"
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
	ByListener // of an App: Origin.Environment decides
)

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

func (a App) check(now time.Time) error {
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

// same says that b leads to the same connections as a.
func (a App) same(b App) bool {
	if !a.EndpointCA.Equal(b.EndpointCA) || !sameCredentials(a.Credentials, b.Credentials) || (a.Proxy == nil) != (b.Proxy == nil) {
		return false
	}
	if a.Proxy != nil && a.Proxy.String() != b.Proxy.String() {
		return false
	}
	return a.Endpoint == b.Endpoint && a.SandboxEndpoint == b.SandboxEndpoint && a.Environment == b.Environment && a.DryRun == b.DryRun
}

func (a App) topicFor(o Origin) string {
	if a.Topic != "" {
		return a.Topic
	}
	return o.Topic
}

// continues says that a bad token of this origin is not reported.
func (a App) continues(o Origin) bool {
	switch a.OnBadToken {
	case Report:
		return false
	case Continue:
		return true
	}
	return pushtype.IsUniform(a.topicFor(o))
}

// endpoint is where the app's notifications for an environment go.
func (a App) endpoint(e Environment) upstream.Endpoint {
	url, apple := a.Endpoint, "https://api.push.apple.com"
	if e == Sandbox {
		url, apple = cmp.Or(a.SandboxEndpoint, a.Endpoint), "https://api.sandbox.push.apple.com"
	}
	return upstream.Endpoint{URL: cmp.Or(strings.TrimRight(url, "/"), apple), CA: a.EndpointCA, Proxy: a.Proxy}
}
