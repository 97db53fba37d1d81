package bench

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/bridge"
	"apnsbridge/bridge/pace"
	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/gateway"
	"apnsbridge/store/boltstore"
)

// gatewayPart is what is measured: gateway, bridge and store as serve puts them
// together, with their default bounds, but without one on the connections from one
// address.
type gatewayPart struct {
	store  *boltstore.Store
	bridge *bridge.Bridge
	server *gateway.Server
	served chan error
	watched
}

func startGateway(s setting) (part, string, error) {
	certificate, roots, err := serverIdentity(s.PKI)
	if err != nil {
		return nil, "", err
	}
	p8, err := os.ReadFile(filepath.Join(s.PKI, "AuthKey_DEVELOPER.p8"))
	if err != nil {
		return nil, "", err
	}
	credential, err := upstream.NewTokenCredential(p8, keyID, teamID)
	if err != nil {
		return nil, "", err
	}
	g := &gatewayPart{served: make(chan error, 1)}
	if g.store, err = boltstore.Open(s.Dir, boltstore.Options{SpoolBytes: s.Spooled}); err != nil {
		return nil, "", err
	}
	apps := []bridge.App{{Name: app, Topic: topic, Endpoint: "https://" + s.Target, EndpointCA: roots,
		Credentials: []bridge.Credential{{Credential: credential}}}}
	if s.Topics {
		apps[0].Topic = ""
	}
	if s.Other != "" {
		apps = append(apps, bridge.App{Name: otherApp, Topic: topic, Endpoint: "https://" + s.Other, EndpointCA: roots,
			Credentials: []bridge.Credential{{Credential: credential}}})
	}
	apps = append(apps, furtherApps(s.Apps, apps[0])...)
	g.bridge, err = bridge.New(bridge.Config{
		Apps:     apps,
		Feedback: g.store.Feedback(), Ledger: g.store.Ledger(), Log: zerolog.Nop(),
		Spool: g.store.Spool(), Mode: spoolModes[s.Spool], SpoolBegins: g.store.SpoolBegins(),
	})
	if err != nil {
		return nil, "", err
	}
	g.server, err = gateway.NewServer(gateway.Config{
		Port: gateway.Port{
			Endpoints:   []gateway.Endpoint{{Address: "127.0.0.1:0"}},
			Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
			Limits: gateway.Limits{ConnectionsPerAddress: 10_000, HandshakesPerAddress: 256,
				HandshakeRatePerAddress: pace.Rate{Count: 1_000_000, Per: time.Second}},
			Logger: zerolog.Nop(),
		},
		Admit: func(h *gateway.Hello) (gateway.Opener, error) {
			if s.Other != "" && len(h.Chain) == 0 {
				return g.opener(otherApp, topic), nil
			}
			if s.Topics && len(h.Chain) == 0 {
				return g.opener(app, otherTopic), nil
			}
			return g.opener(app, topic), nil
		},
	})
	if err != nil {
		return nil, "", err
	}
	g.watched = watched{bridge: g.bridge, read: func() *metrics.Snapshot {
		return &metrics.Snapshot{Bridge: g.bridge.Stats(), Push: g.server.Stats(), Store: g.store.Stats()}
	}}
	go func() { g.served <- g.server.Serve() }()
	return g, g.server.Addr().String(), nil
}

// otherApp is the app of the providers without a certificate, if there is a second
// app.
const otherApp = "other"

// otherTopic is the topic of the providers without a certificate, if the app has no
// topic configured.
const otherTopic = "com.example.other"

var spoolModes = map[string]bridge.SpoolMode{"": bridge.SpoolOverflow, "off": bridge.SpoolOff,
	"overflow": bridge.SpoolOverflow, "always": bridge.SpoolAlways}

func (g *gatewayPart) opener(app, topic string) gateway.Opener {
	return func(c *gateway.Conn) (gateway.Session, binproto.Parser) {
		session, err := g.bridge.Open(c, bridge.Origin{App: app, Client: "bench", Topic: topic,
			Address: netip.MustParseAddr("127.0.0.1")})
		if err != nil {
			panic(err)
		}
		return session, binproto.DefaultParser()
	}
}

// do knows the orders "accepted", which waits until Count notifications have been
// accepted since the start; "stored", until Count are in logs and queues; "queued",
// until Count are in queues; "counts"; and those of watched.
func (g *gatewayPart) do(o order) (answer, error) {
	switch o.Do {
	case "accepted":
		return g.accepted(o)
	case "stored":
		return answer{}, await(func() bool { logged, queued := g.stored(); return logged+queued >= o.Count })
	case "queued":
		return answer{}, await(func() bool { _, queued := g.stored(); return queued >= o.Count })
	case "trace":
		return answer{}, g.trace(o.Count)
	case "scrape":
		g.scrape(o.Count)
		return answer{}, nil
	case "counts":
		st := g.bridge.Stats().Apps[app]
		return answer{Counts: counts{Taken: st.Taken, Accepted: st.Accepted, GivenUp: st.Dropped + st.Crowded,
			Waiting: st.Waiting.Notifications}}, nil
	}
	return answer{}, errOrder(o)
}

// counts are the counts of a gateway's first app.
type counts struct {
	Taken, Accepted, GivenUp uint64
	Waiting                  int
}

// stored returns how many notifications are on disk.
func (g *gatewayPart) stored() (logged, queued int) {
	for _, n := range g.store.Spool().Stats().Lines {
		logged, queued = logged+n.Log, queued+n.Queued
	}
	return logged, queued
}

func (g *gatewayPart) accepted(o order) (answer, error) {
	var st bridge.AppStats
	err := await(func() bool {
		st = g.bridge.Stats().Apps[app]
		return st.Accepted >= uint64(o.Count)
	})
	if err != nil || st.Accepted != uint64(o.Count) || st.Retried > 0 {
		return answer{}, fmt.Errorf("want %d accepted at the first attempt: %v, %+v", o.Count, err, st)
	}
	return answer{Upstream: st.Pool.Connections}, nil
}

func (g *gatewayPart) close() {
	g.scrape(0)
	g.server.Close()
	<-g.served
	g.bridge.Close()
	g.store.Close()
}

const keyID, teamID = "ABC123DEFG", "DEF123GHIJ"

// serverIdentity reads the server's certificate and the CA of both sides.
func serverIdentity(dir string) (tls.Certificate, *x509.CertPool, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		return certificate, nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return certificate, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return certificate, roots, nil
}

// patience is how long a round may take at most.
const patience = 10 * time.Minute

// await calls done until it returns true, but not so often that this counts: the calls allocate, and are made in the
// process that is measured.
func await(done func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(end) {
			return fmt.Errorf("not done after %v", patience)
		}
	}
	return nil
}

func errOrder(o order) error { return fmt.Errorf("no order %q", o.Do) }
