package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge"
	"apnsbridge/bridge/pace"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/smallfile"
	"apnsbridge/gateway"
	"apnsbridge/gateway/identity"
	"apnsbridge/store/boltstore"
)

// Assembly is a configuration, with everything that it names read from files, in the
// form that the parts of the gateway need.
type Assembly struct {
	config      *config.Config
	certificate serverCertificate
	further     []serverCertificate // tls.certificates after the first
	admin       access
	apps        []bridge.App
	clients     *identity.Matcher
	now         func() time.Time // the clock for what takes hours
	problems    []error
	held        map[string]error               // by app: why it, or a part of it, cannot be served
	unserved    bool                           // all apps are held, which is a problem and not an alarm
	kept        map[string]error               // by app: why it keeps its old credential
	authorities map[string][]*x509.Certificate // of clients, by file
	doubts      []warning                      // about the apps' settings
	fleet       *fleetSettings                 // nil: no fleet
}

// Assemble reads the files that c names. Its error joins a sentence for each that cannot
// be used; the Assembly has those that can. An app whose way to APNs cannot be used is
// held, which is an error only if no other app is left.
func Assemble(c *config.Config) (*Assembly, error) {
	a := &Assembly{config: c, now: time.Now, held: make(map[string]error), kept: make(map[string]error),
		authorities: make(map[string][]*x509.Certificate)}
	var err error
	a.readProviderFiles()
	if a.admin, err = a.access(); err != nil {
		a.problems = append(a.problems, err)
	}
	var rules []identity.Rule
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		app := c.Apps[name]
		a.apps = append(a.apps, a.app(name, app))
		for i, client := range app.Clients {
			rule, err := a.rule(name, client)
			if err != nil {
				a.reject("apps.%s.clients[%d]: %w", name, i, err)
				continue
			}
			rules = append(rules, rule)
		}
	}
	if a.clients, err = identity.New(rules); err != nil {
		a.reject("apps: %w", err)
	}
	if a.unserved = !slices.ContainsFunc(a.apps, isServed); a.unserved {
		for _, name := range slices.Sorted(maps.Keys(a.held)) {
			a.problems = append(a.problems, a.held[name])
		}
	}
	a.fleet = a.readFleet()
	if err := boltstore.Try(c.Path(c.Store.Path)); err != nil {
		a.reject("store.path: %w", err)
	}
	return a, errors.Join(a.problems...)
}

func (a *Assembly) reject(format string, args ...any) {
	a.problems = append(a.problems, fmt.Errorf(format, args...))
}

func (a *Assembly) app(name string, c config.App) bridge.App {
	app := bridge.App{
		Name: name,
		Environment: map[string]bridge.Environment{"production": bridge.Production, "sandbox": bridge.Sandbox,
			"by-listener": bridge.ByListener}[c.Environment],
		Endpoint: c.Endpoint.Production, SandboxEndpoint: c.Endpoint.Sandbox,
		PushType: c.PushType,
		OnBadToken: map[string]bridge.OnBadToken{"": bridge.ByTopic, "report": bridge.Report,
			"continue": bridge.Continue}[c.OnBadToken],
		Strict:  c.Strict,
		DryRun:  c.DryRun,
		NoDoubt: c.Doubt != nil && !*c.Doubt,
	}
	if c.Topic != config.TopicFromCertificate {
		app.Topic = c.Topic
	}
	var unverified error
	if c.EndpointCA != "" {
		pool, err := smallfile.Pool(a.config.Path(c.EndpointCA))
		if err != nil {
			unverified = fmt.Errorf("apps.%s.endpoint_ca: %w", name, err)
		}
		app.EndpointCA = pool
	}
	if c.Proxy != "" {
		app.Proxy, _ = url.Parse(c.Proxy) // config has checked it
	}
	a.credentials(name, c, &app, unverified)
	a.doubts = append(a.doubts, a.doubtful(name, c, app)...)
	return app
}

func (a *Assembly) rule(app string, c config.Client) (identity.Rule, error) {
	rule := identity.Rule{App: app, UID: c.UID, Any: c.Any, Topics: c.Topics}
	if c.SPKISHA256 != "" && c.UID != "" { // the only topic of a pinned key
		rule.UID, rule.Topics = "", []string{c.UID}
	}
	var err error
	switch {
	case c.SHA256 != "":
		rule.SHA256, err = identity.ParseFingerprint(string(c.SHA256))
	case c.SPKISHA256 != "":
		rule.SPKISHA256, err = identity.ParseFingerprint(string(c.SPKISHA256))
	case c.CA != "":
		rule.CA, err = smallfile.Certificates(a.config.Path(c.CA))
		a.authorities[c.CA] = rule.CA
	default:
		rule.CIDR, err = netip.ParsePrefix(c.CIDR)
	}
	return rule, err
}

// port returns what the push port and the feedback port have in common. certificate is
// called for each connection, so that it gives the current one.
func (a *Assembly) port(p config.Port, certificate func(*tls.ClientHelloInfo) *tls.Certificate) gateway.Port {
	l := a.config.Limits
	port := gateway.Port{
		Certificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate(hello), nil },
		MinVersion: map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12,
			"1.3": tls.VersionTLS13}[a.config.TLS.MinVersion],
		LegacyCiphers: a.config.TLS.LegacyCiphers,
		Terminated:    a.config.TLS.Terminated,
		Limits: gateway.Limits{
			HandshakeTimeout:        time.Duration(l.HandshakeTimeout),
			Handshakes:              int(l.Handshakes),
			HandshakesPerAddress:    int(l.HandshakesPerAddress),
			HandshakeRatePerAddress: rate(l.HandshakeRatePerAddress),
			Connections:             int(l.Connections),
			ConnectionsPerAddress:   int(l.ConnectionsPerAddress),
			ConnectionsPerClient:    int(l.ConnectionsPerClient),
			HelloBytes:              int(l.HelloBytes),
			AppConnectionsShare:     int(l.AppConnectionsShare),
			UnparsedBytes:           int(l.UnparsedBytes),
			LingerIdle:              time.Duration(l.LingerIdle),
			LingerPressed:           time.Duration(l.LingerIdlePressure),
			LingerTotal:             time.Duration(l.LingerTotal),
			FeedbackStall:           time.Duration(l.FeedbackStall),
			FeedbackTotal:           time.Duration(l.FeedbackTotal),
			FeedbackRatePerClient:   rate(l.FeedbackRatePerClient),
		},
	}
	for _, address := range p.Listen {
		port.Endpoints = append(port.Endpoints, gateway.Endpoint{Address: address.Address, Label: address.Environment,
			ProxyProtocol: address.ProxyProtocol})
	}
	return port
}

func rate(r config.Rate) pace.Rate {
	return pace.Rate{Count: int(r.Count), Per: time.Duration(r.Per)}
}

// parser has the bounds of a connection's frames; frames of voip pushes may be larger.
func (a *Assembly) parser(voip bool) binproto.Parser {
	l := a.config.Limits
	parser := binproto.Parser{
		MinToken:   l.TokenBytes.Min,
		MaxToken:   l.TokenBytes.Max,
		MaxPayload: int(l.PayloadBytes),
		MaxFrame:   int(l.Frame2Bytes),
	}
	if voip {
		parser.MaxPayload = int(l.VoIPPayloadBytes)
	}
	return parser
}

func (a *Assembly) bridgeLimits() bridge.Limits {
	l := a.config.Limits
	return bridge.Limits{
		Window:               int(l.Window),
		QueuedBytes:          int64(l.QueuedBytes),
		SpoolAhead:           int64(l.SpoolAhead),
		WaitingDevices:       int(l.WaitingDevices),
		TopicsPerApp:         int(l.TopicsPerApp),
		TraceEntries:         int(l.TraceEntries),
		ClientRate:           rate(l.NotificationRatePerClient),
		Connections:          int(l.APNsConnections),
		Streams:              int(l.APNsStreams),
		ConnectionAge:        time.Duration(l.APNsConnectionAge),
		DialInterval:         time.Duration(l.APNsDialInterval),
		DialTimeout:          time.Duration(l.APNsDialTimeout),
		RequestTimeout:       time.Duration(l.APNsRequestTimeout),
		PingAfter:            time.Duration(l.APNsPingAfter),
		PingTimeout:          time.Duration(l.APNsPingTimeout),
		RetryDelay:           time.Duration(l.RetryDelay),
		RetryDelayMax:        time.Duration(l.RetryDelayMax),
		BadTokenTTL:          time.Duration(l.BadTokenTTL),
		BadTokenTTLRepeated:  time.Duration(l.BadTokenTTLRepeated),
		BadTokenEntries:      int(l.BadTokenEntries),
		LedgerBytes:          int64(l.LedgerBytes),
		LedgerBytesPerClient: int64(l.LedgerBytesPerClient),
		LedgerTTL:            time.Duration(l.LedgerTTL),
		LedgerTTLProven:      time.Duration(l.LedgerTTLProven),
	}
}

func (a *Assembly) storeOptions() boltstore.Options {
	return boltstore.Options{
		TombstoneAge:    time.Duration(a.config.Limits.LedgerTTL),
		FeedbackEntries: int(a.config.Limits.FeedbackEntries),
		FeedbackAge:     time.Duration(a.config.Limits.FeedbackAge),
		SpoolBytes:      int64(a.config.Spool.MaxBytes),
		SpoolReserve:    int64(a.config.Limits.SpoolReserve),
		SpoolDevice:     int64(a.config.Spool.MaxBytes) / 100 * int64(a.config.Limits.SpoolDeviceShare),
		Now:             a.now,
	}
}

func (a *Assembly) spoolMode() bridge.SpoolMode {
	return map[string]bridge.SpoolMode{"off": bridge.SpoolOff, "overflow": bridge.SpoolOverflow,
		"always": bridge.SpoolAlways}[a.config.Spool.Mode]
}

func (a *Assembly) appNames() (names []string) {
	for _, app := range a.apps {
		names = append(names, app.Name)
	}
	slices.Sort(names)
	return names
}
