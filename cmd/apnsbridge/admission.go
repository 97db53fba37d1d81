package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/bridge"
	"apnsbridge/gateway"
	"apnsbridge/gateway/identity"
	"apnsbridge/store"
)

// admission introduces clients: it says whose a connection is, and gives it to
// the bridge or to its feedback list. Each handshake goes by one assembly, the
// one that is current when it asks.
type admission struct {
	current *atomic.Pointer[assembly]
	bridge  *bridge.Bridge
	drainer *store.Drainer
	old     *oldTLS
	log     zerolog.Logger
}

// client says who a client is, to h as well, and its app's configuration.
func (a *assembly) client(h *gateway.Hello) (identity.Client, bridge.App, error) {
	client, err := a.clients.Match(h.Chain, h.Remote.Addr(), time.Now())
	if err != nil {
		return client, bridge.App{}, err
	}
	h.Client = client.ID
	for _, app := range a.apps {
		if app.Name == client.App {
			return client, app, nil
		}
	}
	return client, bridge.App{}, fmt.Errorf("app %s is not configured", client.App)
}

// push admits a provider to the push port.
func (a *admission) push(h *gateway.Hello) (gateway.Opener, error) {
	current := a.current.Load()
	client, app, err := current.client(h)
	if err != nil {
		return nil, err
	}
	topic := app.Topic
	if topic == "" {
		if topic = client.Topic; topic == "" {
			return nil, fmt.Errorf("app %s takes its topic from the certificate, and that of client %s names none: set the app's topic", app.Name, client.Short())
		}
	}
	origin := bridge.Origin{
		App:         app.Name,
		Client:      client.ID,
		Address:     h.Remote.Addr(),
		Topic:       client.Topic,
		Environment: environment(h),
	}
	use, from := oldUse(app.Name, h), h.Remote
	parser := current.parser(app.PushType == "voip" || strings.HasSuffix(topic, ".voip"))
	return func(c *gateway.Conn) (gateway.Session, binproto.Parser) {
		a.old.count(use, from)
		session, err := a.bridge.Open(c, origin)
		if err != nil {
			a.log.Info().Str("app", app.Name).Str("client", client.Short()).Err(err).Msg("a provider came too late")
			c.Close()
			return turnedAway{}, parser
		}
		return session, parser
	}, nil
}

// feedback admits a reader to the feedback port.
func (a *admission) feedback(h *gateway.Hello) (gateway.FeedbackOpener, error) {
	client, app, err := a.current.Load().client(h)
	if err != nil {
		return nil, err
	}
	use, from := oldUse(app.Name, h), h.Remote
	return func(ctx context.Context, r *gateway.FeedbackConn) {
		a.old.count(use, from)
		drained, err := a.drainer.Drain(ctx, client.ID, app.Name, r)
		a.log.Info().Str("app", app.Name).Str("client", client.Short()).Stringer("outcome", drained.Outcome).
			Int("tuples", drained.Tuples).Int("forgotten", drained.Forgotten).AnErr("reason", err).Msg("feedback")
	}, nil
}

// environment is what the port says, else the name that was asked for.
func environment(h *gateway.Hello) bridge.Environment {
	switch {
	case h.Label == "sandbox", h.Label == "" && strings.Contains(h.ServerName, ".sandbox."):
		return bridge.Sandbox
	}
	return bridge.Production
}

// turnedAway is the session of a provider that was admitted just as the gateway
// was going: nothing it sends is taken.
type turnedAway struct{}

func (turnedAway) Push(*binproto.Notification) bool                    { return true }
func (turnedAway) Reject(*binproto.Notification, binproto.Status) bool { return true }
func (turnedAway) Shutdown(bool)                                       {}
func (turnedAway) Close(error)                                         {}
