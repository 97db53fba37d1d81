package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/gateway"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/identity"
	"apnsbridge/gateway/provider"
	"apnsbridge/store"
)

// A client that the new configuration does not admit is disconnected in good order: what it
// has sent is delivered. Clients that are still admitted stay.
func TestReloadRevokes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 200}})
	pin, pinned := w.Pinned()
	elsewhere := func(topic string) *tls.Config {
		config := w.ClientTLS()
		config.Certificates = []tls.Certificate{*servertest.Issue(t, servertest.Strangers(),
			devpki.ClientOptions{Topic: topic})}
		return config
	}
	w.Write("theirs.pem", servertest.Strangers().CA.CertPEM)
	const ours, also = "{ca: ca.pem, uid: com.example.demo}", "\n      - "
	for i, tt := range []struct {
		name          string
		clients, then string // of the app, before and after
		topic, become string // of the app; "" for the demo's
		leaves        *tls.Config
		reason        string
	}{
		{"a pin that is gone", ours + also + pin, ours, "", "", pinned, "it is not pinned"},
		{"a CA that is gone", ours + also + "{ca: theirs.pem, any: true}", ours, "", "", elsewhere("com.example.strange"),
			"it is not pinned"},
		{"another UID", ours + also + "{ca: theirs.pem, uid: com.example.strange}", ours + also +
			"{ca: theirs.pem, uid: com.example.stranger}", "", "", elsewhere("com.example.strange"), "it is not pinned"},
		{"a network that is gone", ours + also + "{cidr: 127.0.0.0/8}", ours, "", "", elsewhere("com.example.strange"),
			"it is not pinned"},
		{"a certificate without a topic", ours + also + pin, ours + also + pin, story.Topic, "from-certificate", pinned,
			"names none: set the app's topic"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.topic == "" {
				tt.topic, tt.become = story.Topic, story.Topic
			}
			settings := fmt.Sprintf(story.Settings, tt.topic, w.Sim.URL())
			w.Write("apnsbridge.yaml", []byte(strings.Replace(settings, ours, tt.clients, 1)))
			w.reload()
			stays, leaves := w.Dial(w.ClientTLS()), w.Dial(tt.leaves)
			before, ended, log := w.Sim.Stats(), w.service.roll.stats().Connections, w.Log.String()
			if _, err := leaves.Write(servertest.Enhanced(servertest.Token("23", 10*i), 7)); err != nil {
				t.Fatal(err)
			}
			w.Await("it is with APNs", func(s apnssim.Stats) bool { return s.Received > before.Received })

			settings = fmt.Sprintf(story.Settings, tt.become, w.Sim.URL())
			w.Write("apnsbridge.yaml", []byte(strings.Replace(settings, ours, tt.then, 1)))
			w.reload()
			hearsOfTheEnd(t, leaves, 7)
			w.Await("what it sent is delivered", func(s apnssim.Stats) bool { return s.Accepted == before.Accepted+1 })
			if got := w.service.roll.stats().Connections; got != ended+1 {
				t.Errorf("%d connections were ended, want 1", got-ended)
			}
			if said := strings.TrimPrefix(w.Log.String(), log); !strings.Contains(said, tt.reason) ||
				strings.Count(said, "its connections end") != 1 {
				t.Errorf("the log does not say %q once:\n%s", tt.reason, said)
			}
			if _, err := w.TryDial(tt.leaves); err == nil {
				t.Error("the revoked client is admitted again")
			}
			w.Send(10*i+1, stays)
		})
	}
}

// hearsOfTheEnd fails the test unless the provider is told that the gateway closes the
// connection, or sees an orderly end.
func hearsOfTheEnd(t *testing.T, c *provider.Conn, last uint32) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	answer, err := c.ReadResponse()
	switch {
	case err == nil && answer.Status == binproto.Shutdown && answer.Identifier <= last:
	case errors.Is(err, io.EOF):
	default:
		t.Errorf("the provider reads %v and error %v, want status 10 or an orderly end", answer, err)
	}
	c.Close()
}

// A revoked client that keeps sending is read for as long as the gateway takes to drain, and
// no longer.
func TestReloadSilences(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	pin, pinned := w.Pinned()
	w.Amend("{ca: ca.pem, uid: com.example.demo}", pin)
	w.Amend("apps:", "limits: {drain: 500ms}\napps:")
	w.reload()
	conn := w.Dial(pinned)
	w.Send(0, conn)
	w.Amend(pin, "{ca: ca.pem, uid: com.example.demo}")
	w.reload()
	sent, deadline := 1, time.Now().Add(60*time.Second)
	for ; w.service.roll.stats().Frames == 0; sent++ {
		if time.Now().After(deadline) {
			t.Fatal("the revoked client is read for ever")
		}
		if _, err := conn.Write(servertest.Enhanced(servertest.Token("24", sent), sent)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // polls
	}
	if _, err := conn.Write(append([]byte{1}, make([]byte, 12)...)); err != nil { // refused at parsing
		t.Fatal(err)
	}
	servertest.WaitFor(t, "that is not heard either",
		func() bool { return w.service.bridge.Stats().Unsettled == 0 && w.service.push.Stats().Rejected == 1 })
	taken := w.service.bridge.Stats().Apps["demo"]
	silenced := w.service.roll.stats().Frames
	if taken.Malformed != 0 || taken.Taken+silenced != uint64(sent)+1 || taken.Accepted != taken.Taken {
		t.Errorf("of %d frames and a bad one, %d were taken, %d accepted, %d refused, %d ignored", sent, taken.Taken,
			taken.Accepted, taken.Malformed, silenced)
	}
	w.Send(1000, w.Dial(w.ClientTLS()))
}

// A client that is revoked while it reads the feedback list does not get the rest, which
// stays on the list.
func TestReloadEndsFeedback(t *testing.T) {
	t.Parallel()
	const entries, tuple = 50_000, 4 + 2 + 100 // more than the sockets' buffers hold
	w := newWorld(t, apnssim.Scenario{})
	pin, pinned := w.Pinned()
	w.Amend("{ca: ca.pem, uid: com.example.demo}", pin)
	w.reload()
	dead := make([]store.Dead, entries)
	for i := range dead {
		dead[i] = store.Dead{Token: append(make([]byte, 68), servertest.Unhex(servertest.Token("25", i))...),
			Time: time.Unix(listSince, 0)}
	}
	lists := w.service.store.Feedback()
	if err := lists.Record(t.Context(), "demo", dead...); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Dial("tcp", w.Feedback)
	if err != nil {
		t.Fatal(err)
	}
	pinned.ServerName = "localhost"
	conn := tls.Client(tcp, pinned)
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, tuple)); err != nil {
		t.Fatal(err)
	}
	w.Amend(pin, "{ca: ca.pem, uid: com.example.demo}")
	w.reload()
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	rest, err := io.Copy(io.Discard, conn)
	if rest >= tuple*(entries-1) {
		t.Errorf("got the whole list: %d bytes more, and error %v", rest, err)
	}
	conn.Close()
	servertest.WaitFor(t, "the drain ends", func() bool { return w.service.feedback.Stats().Readers == 0 })
	if got := w.service.store.Stats(); !lists.Listed("demo", dead[0].Token) ||
		!lists.Listed("demo", dead[entries-1].Token) {
		t.Errorf("the list has lost entries: %+v", got)
	}
	if len(w.service.roll.present) != 0 {
		t.Errorf("%d clients are on the roll, want none", len(w.service.roll.present))
	}
}

// noted is a guest that counts the calls.
type noted struct{ ended, silenced atomic.Int32 }

func (n *noted) end(time.Duration) { n.ended.Add(1) }
func (n *noted) silence()          { n.silenced.Add(1) }

// A client whose handshake is under way while the configuration changes is judged by the new one.
func TestRollBetweenReloads(t *testing.T) {
	rules := func(cidr string) *Assembly {
		settings := settingsOf(t, "limits: {drain: 1ms}")
		app := settings.Apps["demo"]
		app.Clients = []config.Client{{CIDR: cidr}}
		settings.Apps["demo"] = app
		a, _ := Assemble(settings) // the error is about certificates, which do not matter here
		return a
	}
	old, same, other, moved := rules("127.0.0.1/32"), rules("127.0.0.0/8"), rules("192.0.2.0/24"), rules("127.0.0.1/32")
	moved.apps[0].Name = "moved"
	var err error
	if moved.clients, err = identity.New([]identity.Rule{{App: "moved",
		CIDR: netip.MustParsePrefix("127.0.0.1/32")}}); err != nil {
		t.Fatal(err)
	}
	var current atomic.Pointer[Assembly]
	r := newRoll(&current, zerolog.Nop())
	id := newIdentification(true, "demo", &gateway.Hello{Remote: netip.MustParseAddrPort("127.0.0.1:1")})
	for _, tt := range []struct {
		name string
		by   *Assembly
		now  *Assembly
		ends int32
	}{
		{"nothing has changed", old, old, 0},
		{"it is admitted still", old, same, 0},
		{"it is not", old, other, 1},
		{"it speaks for another app", old, moved, 1},
	} {
		current.Store(tt.now)
		g := new(noted)
		r.enter(tt.by, id, nil, g)
		if got := g.ended.Load(); got != tt.ends {
			t.Errorf("%s: the connection was ended %d times, want %d", tt.name, got, tt.ends)
		}
		r.review()
		if got := g.ended.Load(); got != 2*tt.ends {
			t.Errorf("%s: after a review the connection was ended %d times, want %d", tt.name, got, 2*tt.ends)
		}
		servertest.WaitFor(t, tt.name, func() bool { return g.silenced.Load() == g.ended.Load() })
		r.leave(id, g)
		r.leave(id, g)
	}
	if len(r.present) != 0 {
		t.Errorf("%d clients are on the roll, want none", len(r.present))
	}
}
