//go:build unix

package endtoend

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/fleet"
	"apnsbridge/gateway/provider"
)

// pushEach sends one notification for each device through a node.
func (w *world) pushEach(t *testing.T, devices ...string) {
	t.Helper()
	conn, err := provider.Dial(t.Context(), w.Push, w.ClientTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i, device := range devices {
		n := binproto.Notification{Command: binproto.Enhanced, Token: servertest.Unhex(device),
			Identifier: uint32(i + 1), HasIdentifier: true,
			Payload: fmt.Appendf(nil, `{"aps":{"alert":"number %d"}}`, 99*ofProvider+i),
			Expiry:  uint32(time.Now().Add(time.Hour).Unix()), HasExpiry: true}
		if _, err := conn.Write(n.Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// Dead devices are on one list, whichever node their notifications came through and
// whichever node is asked. Readers on both nodes at the same time get each of them at least
// once, and what was read to its end is on no list any more.
func TestFleetFeedback(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{}, "")
	first, second := n.pair(usualLease)
	want := make(map[string]bool)
	for i, w := range []*world{first, second} {
		var devices []string
		for k := range 40 {
			devices = append(devices, servertest.Token("dead", 100*i+k))
			want[string(servertest.Unhex(devices[k]))] = true
		}
		w.pushEach(t, devices...)
	}
	got := make(map[string]bool)
	readers := []*world{first.another(t), second.another(t)}
	servertest.WaitFor(t, "all are read", func() bool {
		results := make(chan map[string]bool, len(readers))
		for _, r := range readers {
			go func() {
				read := make(map[string]bool)
				_, _ = provider.ReadFeedback(t.Context(), r.Feedback, r.ClientTLS(), func(tuple binproto.Tuple) error {
					read[string(tuple.Token)] = true
					return nil
				})
				results <- read
			}()
		}
		for range readers {
			for device := range <-results {
				got[device] = true
			}
		}
		return len(got) == len(want)
	})
	for device := range want {
		if !got[device] {
			t.Errorf("%x was not read", device)
		}
	}
	servertest.WaitFor(t, "the list is empty on both", func() bool {
		return len(first.listed(t))+len(second.listed(t)) == 0
	})
}

// Three apps with one key are on two nodes, one of which ends: APNs sees a single provider token.
func TestFleetKeyUpdates(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{KeyUpdates: &apnssim.RateLimit{Count: 1, Seconds: 1200}}, "")
	apps := []string{"demo", "second", "third"}
	var all []*world
	for range 2 {
		w := n.configure(usualLease)
		w.serve(apps[1:]...)
		w.Start()
		t.Cleanup(n.stop)
		all = append(all, w)
	}
	sent := 0
	send := func(w *world) {
		t.Helper()
		for i, app := range apps {
			w.clientOf(t, app).pushEach(t, servertest.Token("ab", 1000*sent+i))
		}
		sent++
		n.all[0].Await("all arrive", func(s apnssim.Stats) bool { return s.Accepted >= sent*len(apps) })
	}
	slot := time.Now().Truncate(30 * time.Minute)
	send(all[0])
	send(all[1])
	all[0].Stop()
	send(all[1])
	if slot != time.Now().Truncate(30*time.Minute) {
		t.Skip("a new half hour has begun")
	}
	for _, p := range n.sim.Received(0).Pushes {
		if p.Status != 200 {
			t.Errorf("a push for %s was answered %d %s", p.Topic, p.Status, p.Reason)
		}
	}
}

// An operator moves an app back and forth while its providers send: each good notification
// arrives once.
func TestFleetMoves(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 10, Jitter: 10}}, "")
	first, second := n.pair(shortLease)
	moves := rounds(2, 20)
	_, all, end := steady(t, first, second)
	from, to := first, second
	for range moves {
		before := n.sim.Stats().Accepted
		first.Await("there is load", func(s apnssim.Stats) bool { return s.Accepted > before+300 })
		if status, said := from.Ask(t, http.MethodPost, "/apps/demo/move?to="+to.fleet().Node, nil); status != http.StatusOK {
			t.Fatal(said)
		}
		servertest.WaitFor(t, "the app has moved", func() bool {
			return to.place() == fleet.Here && from.place() == fleet.Elsewhere
		})
		from, to = to, from
	}
	end()
	n.settle(t, first, all...)
}

// A fleet whose PostgreSQL is away goes on delivering, and tells no provider of a failure; all
// nodes stay in service. When PostgreSQL is back, one node has the app, and the list has what
// was missed.
func TestFleetEngineAway(t *testing.T) {
	t.Parallel()
	server := ownPostgres(t)
	n := newNodesOn(t, server, apnssim.Scenario{}, "")
	first, second := n.pair(shortLease)
	server.Kill()
	servertest.WaitFor(t, "the app is loose", func() bool { return first.place() == fleet.Loose })
	servertest.WaitFor(t, "all stay in service, as no other has the engine", func() bool {
		return first.ready() && second.ready()
	})
	before := n.sim.Stats().Accepted
	token := servertest.Token
	first.pushEach(t, token("bad0", 1), token("dead", 1), token("ab", 1), token("ab", 2))
	second.pushEach(t, token("bad0", 2), token("dead", 2), token("ab", 3), token("ab", 4))
	first.Await("all arrive", func(s apnssim.Stats) bool { return s.Accepted >= before+4 })
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "one has the app, whichever was there first", func() bool {
		a, b := first.place(), second.place()
		return a == fleet.Here && b == fleet.Elsewhere || a == fleet.Elsewhere && b == fleet.Here
	})
	var want []string
	for i := range 2 {
		for _, kind := range []string{"bad0", "dead"} {
			want = append(want, string(servertest.Unhex(token(kind, i+1))))
		}
	}
	listed := make(map[string]bool)
	servertest.WaitFor(t, "what was missed is listed", func() bool {
		for device := range second.listed(t) {
			listed[device] = true
		}
		return !slices.ContainsFunc(want, func(device string) bool { return !listed[device] })
	})
	p := &resender{base: ofProvider}
	if err := p.send(context.Background(), second, inBursts(300)); err != nil {
		t.Fatal(err)
	}
	n.settle(t, second, p)
	if len(p.packets) == 0 {
		t.Error("providers are told of no failure any more")
	}
}

// A node whose configuration no longer has an app gives it to a node whose configuration has it.
func TestFleetAppRemoved(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{}, "")
	const limits = shortLease
	first := n.configure(limits)
	first.FixPorts()
	startProcess(t, first)
	first.owns(t)
	second := n.add(limits)
	n.acquaint(first, second)
	first.Amend("  demo:\n", "  other:\n")
	if status, said := first.Ask(t, http.MethodPost, "/reload", nil); status != http.StatusOK {
		t.Fatal(said)
	}
	servertest.WaitFor(t, "the other node has the app", func() bool {
		return first.place() == fleet.Elsewhere && second.place() == fleet.Here
	})
	second.pushEach(t, servertest.Token("ab", 1))
	second.Await("it delivers", func(s apnssim.Stats) bool { return s.Accepted == 1 })
	servertest.WaitFor(t, "their configurations differ", func() bool {
		return slices.ContainsFunc(second.fleet().Nodes, func(n adminapi.Node) bool { return n.Differing })
	})
}
