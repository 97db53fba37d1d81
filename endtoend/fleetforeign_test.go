//go:build unix

package endtoend

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/fleet"
)

// Foreign libraries get the same verdicts through a node on which their app does not live, and
// every good notification is delivered once.
func TestFleetForeign(t *testing.T) {
	m := newMailing(600, 20)
	t.Run(latestAPN, func(t *testing.T) {
		t.Parallel()
		servertest.Foreign(t, "node")
		_, w := newNodes(t, late, "").pair(usualLease)
		n := startNodeAPN(t, w, latestAPN)
		go func() {
			if _, err := io.WriteString(n.stdin, m.lines()); err != nil {
				t.Error(err)
			}
		}()
		for range len(m.tokens) - len(m.good) {
			if e := n.await("transmissionError"); e.Status != 8 || !strings.HasPrefix(e.Token, "bad0") {
				t.Errorf("the library reports %+v", e)
			}
		}
		m.arrives(t, w)
	})
	for _, mode := range []string{"resend", "never"} {
		t.Run("PHP, "+mode, func(t *testing.T) {
			t.Parallel()
			servertest.Foreign(t, "php")
			_, w := newNodes(t, late, "").pair(usualLease)
			out := w.php(mode, m.lines())
			if got, want := strings.Count(out, "error 8 "), len(m.tokens)-len(m.good); mode != "never" && got != want {
				t.Errorf("the script read %d error packets, want %d:\n%s", got, want, out)
			}
			m.arrives(t, w)
		})
	}
}

// wire records what comes in below TLS.
type wire struct {
	net.Conn
	got bytes.Buffer
}

func (c *wire) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.got.Write(b[:n])
	return n, err
}

// A packet that the owner decides on leaves the node that the provider is connected to as one
// record, followed by the end.
func TestFleetPacketIsOneRecord(t *testing.T) {
	t.Parallel()
	_, w := newNodes(t, late, "").pair(usualLease)
	tcp, err := net.Dial("tcp", w.Push)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	below := &wire{Conn: tcp}
	config := w.ClientTLS()
	config.ServerName = "127.0.0.1"
	c := tls.Client(below, config)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	below.got.Reset()
	const bad = 133
	var frames []byte
	for i := range 2 * bad {
		n := mixed(i)
		frames = n.Append(frames)
	}
	if _, err := c.Write(frames); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	want := (binproto.Response{Status: binproto.InvalidToken, Identifier: bad}).Append(nil)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got % x, %v, want % x and a clean end", got, err, want)
	}
	var sizes []int
	for b := below.got.Bytes(); len(b) > 0; {
		size := int(binary.BigEndian.Uint16(b[3:]))
		sizes = append(sizes, size)
		b = b[5+size:]
	}
	if len(sizes) != 2 || sizes[0] != sizes[1]+4 { // close_notify has two bytes
		t.Errorf("got records of %d bytes, want one with six bytes and one with two, each with its overhead", sizes)
	}
}

// The owner is killed under load, in a mode that commits everything before it is taken. The
// other node has the app within the lease and two seconds; what is lost of a connection was
// written last; what is doubled was in flight; and dead devices are on the list.
func TestFleetOwnerKilled(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	n := newNodes(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 20, Jitter: 30}}, spoolAll+"\n")
	killed := n.configure("fleet_lease: 2s, fleet_claim: 4s")
	process := startProcess(t, killed)
	killed.Push = process.push
	second := n.add("fleet_lease: 2s, fleet_claim: 4s")
	process.dial(killed).Close()
	servertest.WaitFor(t, "the first has the app", func() bool {
		return slices.ContainsFunc(second.fleet().Apps, func(a adminapi.Place) bool { return a.Node == "gw1" })
	})
	providers, count := 4, 4000
	if *long {
		count = 50_000
	}
	var all []*resender
	sent := make(chan error, providers)
	for i := range providers {
		p := &resender{base: (i + 1) * ofProvider}
		all = append(all, p)
		via := second.another(t) // passed on by the second node, which survives
		go func() {
			sent <- p.send(t.Context(), via, func(taken int) bool {
				if taken%20 == 0 {
					time.Sleep(5 * time.Millisecond) // 4,000/s of each
				}
				return taken < count
			})
		}()
	}
	half := providers * count / 4
	second.Await("there is load", func(s apnssim.Stats) bool { return s.Accepted > half })
	began := time.Now()
	process.kill()
	servertest.WaitFor(t, "the second has the app", func() bool { return second.place() == fleet.Here })
	took := time.Since(began)
	for range providers {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	t.Logf("taken over after %v", took)
	if !within(t, took, lease+4*time.Second) { // two on an otherwise idle machine
		t.Errorf("taken over after %v, with a lease of %v", took, lease)
	}
	second.deliver(t)
	lost, doubled := lastWords(t, all, second.arrivals(t))
	listedOnce(t, second, all)
	t.Logf("%d were written last over connections that broke, and never taken; %d doubled", lost, doubled)
	const inFlight = 4000 // 50 ms of the load, and what was accepted within the last flush of the spool
	if doubled > inFlight {
		t.Errorf("%d doubled", doubled)
	}
}

// lastWords counts what is lost of connections that broke, and checks that it was written last.
// It also counts what arrived more than once.
func lastWords(t *testing.T, all []*resender, arrivals map[int][]arrival) (lost, doubled int) {
	t.Helper()
	for _, p := range all {
		p.checkTails(t, arrivals)
		for i := range p.report.Taken {
			arrives := fateOf(i) == toArrive
			switch times := len(arrivals[p.base+i]); {
			case arrives && times == 0 && !p.isUnsure(i):
				t.Errorf("number %d is lost, and was not on a connection that broke", p.base+i)
			case arrives && times == 0:
				lost++
			case times > 1:
				doubled++
			}
		}
	}
	return lost, doubled
}

// listedOnce waits until each dead device was on the list, and checks that it was given once.
func listedOnce(t *testing.T, from *world, all []*resender) {
	t.Helper()
	tuples := make(map[string]int)
	servertest.WaitFor(t, "dead devices are listed", func() bool {
		for device, times := range from.tuples(t) {
			tuples[device] += times
		}
		for _, p := range all {
			for i := range p.report.Taken {
				if fateOf(i) == toList && !p.isUnsure(i) && tuples[string(mixed(p.base+i).Token)] == 0 {
					return false
				}
			}
		}
		return true
	})
	for device, times := range tuples {
		if times > 1 {
			t.Errorf("%x was given %d times", device, times)
		}
	}
}

// An operator lists the nodes and their apps, moves an app, and asks what can go wrong.
func TestFleetCommands(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{}, "")
	var all []*world
	for range 2 {
		w := n.configure(shortLease)
		w.FixPorts()
		w.Start()
		t.Cleanup(n.stop)
		all = append(all, w)
	}
	first, second := all[0], all[1]
	first.owns(t)
	servertest.WaitFor(t, "the nodes know one another", func() bool { return len(first.fleet().Nodes) == 2 })
	says := func(w *world, want int, parts []string, args ...string) {
		t.Helper()
		code, out, errs := w.Apnsbridge("", append(args, "--config", w.Path("apnsbridge.yaml"))...)
		if code != want {
			t.Errorf("%v: exit code %d: %s%s", args, code, out, errs)
		}
		for _, part := range parts {
			if !strings.Contains(out+errs, part) {
				t.Errorf("%v says %q, want %q in it", args, out+errs, part)
			}
		}
	}
	says(first, 0, []string{"gw1", "gw2", "demo", "asked"}, "fleet", "status")
	says(first, 0, []string{`"node":"gw1"`}, "fleet", "status", "--json")
	says(first, 1, []string{"no node of that name has a lease"}, "fleet", "move", "demo", "gw9")
	says(first, 1, []string{"no app of that name is configured"}, "fleet", "move", "post", "gw2")
	servertest.WaitFor(t, "the second knows", func() bool {
		return second.place() == fleet.Elsewhere && len(second.fleet().Apps) > 0
	})
	says(second, 1, []string{"the app lives on gw1: ask that node"}, "fleet", "move", "demo", "gw2")
	says(first, 0, []string{"demo lives on gw2"}, "fleet", "move", "demo", "gw2")
	servertest.WaitFor(t, "the app has moved", func() bool { return second.place() == fleet.Here })
	for w, parts := range map[*world][]string{first: {"lives on gw2", "Apps on gw1 0 of 1"},
		second: {"Apps on gw2 1 of 1"}} {
		servertest.WaitFor(t, "the page has the nodes and where the app is", func() bool {
			_, source := w.Ask(t, http.MethodGet, "/", nil)
			words := servertest.WordsOf(source)
			lacks := func(part string) bool { return !strings.Contains(words, part) }
			return strings.Contains(words, "Nodes 2 ") && !slices.ContainsFunc(parts, lacks)
		})
	}
	says(second, 0, []string{"the schema is there"}, "check", "--setup")
	for _, name := range []string{`fleet_app_here{app="demo"}`, "fleet_leased", "fleet_takeovers_total"} {
		if got := second.Sum(t, "apnsbridge_"+name); got != 1 {
			t.Errorf("%s is %v, want 1", name, got)
		}
	}
	alone := newWorld(t, apnssim.Scenario{})
	alone.FixPorts()
	alone.Stop()
	alone.Start()
	says(alone, 1, []string{"this gateway is no node of a fleet"}, "fleet", "status")
	says(alone, 1, []string{"there is none to be set up"}, "check", "--setup")
}

// A node with a mistake in its configuration does not start, and says why.
func TestFleetMistakes(t *testing.T) {
	n := newNodes(t, apnssim.Scenario{}, "")
	for _, tt := range []struct{ name, old, with, want string }{
		{"no schema", "schema: place", "schema: nowhere", "run apnsbridge check --setup"},
		{"no such database", "/postgres?", "/nowhere?", "does not take this node"},
		{"the providers' CA", "ca: fleet-ca.pem", "ca: ca.pem", "it is not of fleet.ca"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := n.configure(usualLease)
			w.Amend(tt.old, tt.with)
			code, out, errs := w.Apnsbridge("", "serve", "--config", w.Path("apnsbridge.yaml"))
			if code != 1 || !strings.Contains(out+errs, tt.want) {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
		})
	}
}
