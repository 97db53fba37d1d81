package server

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/bridge"
	"apnsbridge/gateway"
	"apnsbridge/gateway/identity"
)

// admission admits clients: it finds out which client and app a connection belongs to,
// and hands it to the bridge or to its feedback list. Each handshake uses one assembly,
// the one that is current when it asks.
type admission struct {
	service *Service // for its bridge and drainer, once they exist
	current *atomic.Pointer[Assembly]
	old     *oldTLS
	roll    *roll
	sandbox *sandboxAsked
	log     zerolog.Logger
}

// client identifies the client that connects from address and shows chain, and its app.
func (a *Assembly) client(chain []*x509.Certificate, address netip.Addr) (identity.Client, bridge.App, error) {
	client, err := a.clients.Match(chain, address, time.Now())
	if err != nil {
		return client, bridge.App{}, err
	}
	for _, app := range a.apps {
		if app.Name == client.App {
			return client, app, nil
		}
	}
	return client, bridge.App{}, fmt.Errorf("app %s is not configured", client.App)
}

// topicOf is the topic of the client's notifications.
func topicOf(client identity.Client, app bridge.App) (string, error) {
	topic := cmp.Or(app.Topic, client.Topic)
	if topic == "" {
		return "", fmt.Errorf("app %s takes its topic from the certificate, and that of client %s names none: set "+
			"the app's topic", app.Name, client.Short())
	}
	return topic, nil
}

// admits returns why a connection that was admitted before would not be admitted by a,
// nil if it would be.
func (a *Assembly) admits(id identification, chain []*x509.Certificate) error {
	client, app, err := a.client(chain, id.address)
	switch {
	case err != nil:
		return err
	case app.Name != id.app:
		return fmt.Errorf("client %s speaks for app %s now", client.Short(), app.Name)
	case id.push:
		_, err = topicOf(client, app)
	}
	return err
}

// push admits a provider to the push port.
func (a *admission) push(h *gateway.Hello) (open gateway.Opener, err error) {
	defer a.remember(h, &err)
	current := a.current.Load()
	client, app, err := current.client(h.Chain, h.Remote.Addr())
	if err != nil {
		return nil, err
	}
	h.Client, h.App = client.Counted, app.Name
	topic, err := topicOf(client, app)
	if err != nil {
		return nil, err
	}
	origin := bridge.Origin{
		App:     app.Name,
		Client:  client.ID,
		Address: h.Remote.Addr(),
		Roams:   client.Roams(),
		// Never "": the app may be reloaded with from-certificate while this connection leaves.
		Topic:       cmp.Or(client.Topic, topic),
		Environment: environment(h),
		Mute:        h.SplitsRecords(),
	}
	if app.Environment == bridge.Production && h.Label == "" && environment(h) == bridge.Sandbox {
		a.sandbox.asked(app.Name, client.Short(), h.ServerName)
	}
	use, from := oldUse(app.Name, h), h.Remote
	id, chain, who := newIdentification(true, app.Name, h), h.Chain, whoIs(app.Name, client, h)
	parser := current.parser(app.PushType == "voip" || strings.HasSuffix(topic, ".voip"))
	return func(c *gateway.Conn) (gateway.Session, binproto.Parser) {
		a.old.count(use, from)
		a.service.providers.Connected(who.TLS)
		seen := a.service.providers.Open(who)
		session, err := a.service.session(witness{c, seen}, origin)
		if err != nil {
			a.log.Info().Str("app", app.Name).Str("client", client.Short()).Err(err).Msg("a provider came too late")
			c.Close()
			return turnedAway{}, parser
		}
		seen.Asks(resends(session))
		p := &pusher{Session: session, conn: c, seen: seen, roll: a.roll, id: id, client: client.Short(), since: time.Now()}
		a.roll.enter(current, id, chain, p)
		return p, parser
	}, nil
}

// remember notes a refused client, which an operator may be waiting for.
func (a *admission) remember(h *gateway.Hello, refused *error) {
	if *refused != nil {
		a.service.refused.note(h, *refused)
	}
}

// feedback admits a reader to the feedback port.
func (a *admission) feedback(h *gateway.Hello) (open gateway.FeedbackOpener, err error) {
	defer a.remember(h, &err)
	current := a.current.Load()
	client, app, err := current.client(h.Chain, h.Remote.Addr())
	if err != nil {
		return nil, err
	}
	h.Client, h.App = client.Counted, app.Name
	use, from := oldUse(app.Name, h), h.Remote
	id, chain, version := newIdentification(false, app.Name, h), h.Chain, tlsOf(h)
	return func(ctx context.Context, r *gateway.FeedbackConn) {
		a.old.count(use, from)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		g := &feedbackReader{cancel}
		a.roll.enter(current, id, chain, g)
		defer a.roll.leave(id, g)
		a.service.providers.Connected(version)
		drained, err := a.service.drain(ctx, client.Counted, app.Name, r)
		a.service.providers.ReadFeedback(app.Name, client.Short(), drained.Tuples)
		a.log.Info().Str("app", app.Name).Str("client", client.Short()).Stringer("outcome", drained.Outcome).
			Int("tuples", drained.Tuples).Int("forgotten", drained.Forgotten).AnErr("reason", err).Msg("feedback")
	}, nil
}

// environment is that of the port, if it has one; otherwise that of the server name that
// was asked for; otherwise the one that the provider's certificate is for.
func environment(h *gateway.Hello) bridge.Environment {
	switch {
	case h.Label == "sandbox", h.Label == "" && asksForSandbox(h):
		return bridge.Sandbox
	case h.Label == "" && !asksForApple(h) && len(h.Chain) > 0 && onlyEnvironment(h.Chain[0]) == "sandbox":
		return bridge.Sandbox
	}
	return bridge.Production
}

// asksForApple reports whether a provider has asked for one of Apple's host names.
func asksForApple(h *gateway.Hello) bool { return strings.HasSuffix(h.ServerName, ".push.apple.com") }

// asksForSandbox reports whether a provider has asked for Apple's sandbox by host
// name.
func asksForSandbox(h *gateway.Hello) bool { return strings.Contains(h.ServerName, ".sandbox.") }

// turnedAway is the session of a provider that was admitted just as the gateway was
// shutting down: nothing that it sends is taken.
type turnedAway struct{}

func (turnedAway) Push(*binproto.Notification) bool                    { return true }
func (turnedAway) Reject(*binproto.Notification, binproto.Status) bool { return true }
func (turnedAway) ReadOn()                                             {}
func (turnedAway) Shutdown(bool)                                       {}
func (turnedAway) Close(error)                                         {}
