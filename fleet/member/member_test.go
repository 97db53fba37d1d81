package member

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"apnsbridge/binproto"
	"apnsbridge/fleet"
	"apnsbridge/fleet/link"
	"apnsbridge/gateway/devpki"
	"apnsbridge/store"
)

// TestMain has all tests run at a time, unless told how many: they wait for leases to run out.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "16")
	goleak.VerifyTestMain(m)
}

// registry keeps leases in memory; all nodes of a test share it.
type registry struct {
	mu    sync.Mutex
	down  bool
	nodes map[string]store.FleetNode
	until map[string]time.Time
	apps  map[string]store.FleetApp
}

func newRegistry() *registry {
	return &registry{nodes: make(map[string]store.FleetNode), until: make(map[string]time.Time),
		apps: make(map[string]store.FleetApp)}
}

var errDown = errors.New("the registry is down")

func (r *registry) set(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

// leases is one node's view of the registry.
type leases struct {
	*registry
	node string
}

func (l leases) Join(_ context.Context, n store.FleetNode, lease time.Duration) (store.FleetView, error) {
	return l.renew(n, lease, false)
}

func (l leases) Renew(_ context.Context, n store.FleetNode, lease time.Duration) (store.FleetView, error) {
	return l.renew(n, lease, true)
}

func (l leases) renew(n store.FleetNode, lease time.Duration, joined bool) (v store.FleetView, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.down:
		return v, errDown
	case joined && !l.lives(l.node):
		return v, store.ErrLeaseOver
	}
	l.nodes[l.node], l.until[l.node] = n, time.Now().Add(lease)
	for name, node := range l.nodes {
		if l.lives(name) {
			v.Nodes = append(v.Nodes, node)
		}
	}
	for _, a := range l.apps {
		v.Apps = append(v.Apps, a)
	}
	slices.SortFunc(v.Nodes, func(a, b store.FleetNode) int { return compare(a.Name, b.Name) })
	slices.SortFunc(v.Apps, func(a, b store.FleetApp) int { return compare(a.Name, b.Name) })
	return v, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (r *registry) lives(node string) bool { return time.Now().Before(r.until[node]) }

func (l leases) Claim(_ context.Context, app string) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.apps[app]
	switch {
	case l.down:
		return 0, errDown
	case !l.lives(l.node):
		return 0, store.ErrLeaseOver
	case a.Node != l.node && l.lives(a.Node):
		return 0, &store.TakenError{What: "app " + app, By: a.Node, Left: time.Until(l.until[a.Node])}
	}
	l.apps[app] = store.FleetApp{Name: app, Node: l.node, Epoch: a.Epoch + 1}
	return a.Epoch + 1, nil
}

func (l leases) Give(_ context.Context, app string, epoch uint64, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.apps[app]
	switch {
	case l.down:
		return errDown
	case a.Node != l.node || a.Epoch != epoch:
		return store.ErrNotOurs
	}
	a.Node = to
	l.apps[app] = a
	return nil
}

func (l leases) Leave(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return errDown
	}
	delete(l.until, l.node)
	return nil
}

// deeds records the calls to Apps, and handles carried connections.
type deeds struct {
	mu    sync.Mutex
	done  []string
	keeps error // what Givable returns: why apps cannot be given away
}

func (d *deeds) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = append(d.done, what)
}

func (d *deeds) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = nil
}

func (d *deeds) said(what string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.done, what)
}

// saidBehind reports whether first was recorded, and what after it.
func (d *deeds) saidBehind(what, first string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.done, first)
	return i >= 0 && slices.Contains(d.done[i:], what)
}

func (d *deeds) Take(context.Context, string, uint64) error {
	d.note("take")
	return nil
}
func (d *deeds) Loosen(string)                   { d.note("loosen") }
func (d *deeds) GoOn(string)                     { d.note("go on") }
func (d *deeds) Hush(string)                     { d.note("hush") }
func (d *deeds) Givable(string) error            { return d.keeps }
func (d *deeds) Lose(string)                     { d.note("lose") }
func (d *deeds) Release(context.Context, string) { d.note("release") }

func (d *deeds) Open(string, link.Provider, []byte) (link.Session, binproto.Parser, error) {
	d.note("open")
	return nil, binproto.Parser{}, errors.New("a provider came too late")
}
func (d *deeds) Read(context.Context, string, []byte, link.Reader) {}

// guest reports what place was found for it.
type guest struct{ place chan string }

func newGuest() guest { return guest{make(chan string, 1)} }

func (g guest) Here() error {
	g.place <- "here"
	return nil
}
func (g guest) Carry(e *link.Entry) { g.place <- "carried to " + e.Node() }
func (g guest) Cut()                { g.place <- "cut" }

func (g guest) wants(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-g.place:
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		t.Errorf("no place was found within a minute, want %q", want)
	}
}

var pki = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create("fleet")
	if err != nil {
		panic(err)
	}
	return p
})

func start(t *testing.T, r *registry, name string) (*Member, *deeds) {
	t.Helper()
	return startServing(t, r, name, "", func(string) bool { return true })
}

// startServing starts a node with the given configuration digest and set of apps.
func startServing(t *testing.T, r *registry, name, digest string, serves func(app string) bool) (*Member, *deeds) {
	t.Helper()
	return startBy(t, fleet.NewRules(1200*time.Millisecond, 3*time.Second), r, name, digest, serves)
}

// startBy is startServing with the given rules.
func startBy(t *testing.T, rules fleet.Rules, r *registry, name, digest string,
	serves func(app string) bool) (*Member, *deeds) {
	t.Helper()
	certificate, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := new(deeds)
	m := New(Config{Leases: leases{r, name}, Rules: rules, Apps: d,
		Link:   link.Config{Node: name, Certificate: certificate, CA: pool()},
		Self:   func() store.FleetNode { return store.FleetNode{Name: name, Address: l.Addr().String(), Digest: digest} },
		Serves: serves, Log: zerolog.Nop()})
	m.Start(l)
	t.Cleanup(func() {
		l.Close()
		m.Close()
	})
	return m, d
}

func pool() *x509.CertPool { return pki().Pool() }

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) { // polls
		if time.Now().After(deadline) {
			t.Fatalf("not seen within a minute: %s", what)
		}
	}
}

// acquaint waits until each node has links to all others.
func acquaint(t *testing.T, all ...*Member) {
	t.Helper()
	until(t, "the nodes are linked", func() bool {
		linked := 0
		for _, m := range all {
			for _, n := range m.Stats().Nodes {
				if n.Linked {
					linked++
				}
			}
		}
		return linked == len(all)*len(all)
	})
}

// The node that is asked for an app first takes it; the others carry sessions to that node. When
// it leaves, the app goes to another node, whose first session waits for it.
func TestMember(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	first, did := start(t, r, "gw1")
	g := newGuest()
	first.Enter("mail", "", g)
	g.wants(t, "here")
	second, its := start(t, r, "gw2")
	acquaint(t, first, second)
	g = newGuest()
	second.Enter("mail", "", g)
	g.wants(t, "carried to gw1")
	if !first.May("mail") || second.May("mail") || first.Answers("mail") == 0 || second.Answers("mail") > 0 {
		t.Error("the second node may write packets for the app, or the first may not")
	}
	first.Hush()
	if first.Ready() {
		t.Error("a node that is about to leave is ready")
	}
	if err := first.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the second has the app", func() bool { return second.Place("mail") == fleet.Here })
	g = newGuest()
	second.Enter("mail", "", g)
	g.wants(t, "here")
	if !did.said("hush") || !did.said("release") || !its.said("take") {
		t.Errorf("the first node did %v and the second %v; want hush and release, and take", did.done, its.done)
	}
}

// Without the store an app is loose once the deadline has passed, and here again once the
// store is back; the node stays ready, because no other node has a lease.
func TestMemberLoose(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	m, did := start(t, r, "gw1")
	g := newGuest()
	m.Enter("mail", "", g)
	g.wants(t, "here")
	r.set(true)
	until(t, "the app is loose", func() bool { return m.Place("mail") == fleet.Loose })
	if m.May("mail") || m.Answers("mail") > 0 || !m.Ready() {
		t.Error("a node without a lease may write packets for its app, or is not ready though it is alone")
	}
	g = newGuest()
	m.Enter("mail", "", g)
	g.wants(t, "here")
	g = newGuest()
	m.Enter("post", "", g)
	g.wants(t, "here") // once the time for a claim has passed
	r.set(false)
	until(t, "the app is here", func() bool { return m.Place("mail") == fleet.Here })
	if !did.said("loosen") {
		t.Errorf("did %v, want loosen among it", did.done)
	}
	if st := m.Stats(); st.Loose == 0 || st.Failing != nil {
		t.Errorf("got %+v, want some time without a lease, and no failure", st)
	}
}

// Waiting connections are cut when the member is closed.
func TestMemberCloses(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	r.set(true)
	g := newGuest()
	t.Cleanup(func() { g.wants(t, "cut") }) // runs after the member is closed
	m, _ := start(t, r, "gw1")
	m.Enter("mail", "", g)
}
