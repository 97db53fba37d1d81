package bridge

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/upstream"
	"apnsbridge/gateway/devpki"
	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

var long = flag.Bool("long", false, "run the long rounds")

// TestMain runs more tests at a time than there are processors, unless -parallel says how
// many: most of the time they wait. Bridges look soon at clocks that a test puts forward.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", strconv.Itoa(16*runtime.GOMAXPROCS(0)))
	tickInterval = 20 * time.Millisecond
	debug.SetGCPercent(400) // tests keep little, and leave much behind
	if err := storetest.InMemory(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const topic = "com.example.demo"

// pki is made once, for RSA keys take long to make. The simulator's own key signs quickly.
var pki = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create(topic)
	if err == nil {
		p.Server, err = p.IssueServer(devpki.ECDSA)
	}
	if err != nil {
		panic(err)
	}
	return p
})

// patience ends a test that waits for something that does not come, however busy the machine is.
const patience = 2 * time.Minute

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func startSim(t *testing.T, scenario apnssim.Scenario) *apnssim.Simulator {
	t.Helper()
	certificate, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	sim, err := apnssim.Start(apnssim.Config{Certificate: certificate, ClientCAs: pki().Pool(), Scenario: scenario})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	return sim
}

func tokenCredential(t *testing.T) *upstream.Credential {
	t.Helper()
	c, err := upstream.NewTokenCredential(pki().TokenKey, "ABC123DEFG", "DEF123GHIJ")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// forAll are the credentials of an app that has one for both environments and all
// topics.
func forAll(c *upstream.Credential) []Credential {
	return []Credential{{Credential: c, Environment: ByListener}}
}

func mailApp(t *testing.T, sim *apnssim.Simulator) App {
	return App{Name: "mail", Topic: topic, Endpoint: sim.URL(), EndpointCA: pki().Pool(),
		Credentials: forAll(tokenCredential(t))}
}

// startBridge starts a bridge that is closed at the end of the test.
func startBridge(t *testing.T, c Config) *Bridge {
	t.Helper()
	if c.Feedback == nil {
		c.Feedback = new(list)
	}
	c.Limits.RetryDelay, c.Limits.DialInterval = cmp.Or(c.Limits.RetryDelay, 50*time.Millisecond), 50*time.Millisecond
	if c.Now == nil { // else the test puts the clock forward: an outage on a slow machine is long, and so its waits
		c.Limits.RetryDelayMax = cmp.Or(c.Limits.RetryDelayMax, time.Second)
	}
	c.Log = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func open(t *testing.T, b *Bridge, o Origin) (*Session, *recorder) {
	t.Helper()
	if o.App == "" {
		o.App = "mail"
	}
	p := &recorder{changed: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	s, err := b.Open(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

// recorder is a Peer that records what it is told.
type recorder struct {
	mu      sync.Mutex
	fails   []binproto.Response
	closes  int
	resumes int
	changed chan struct{}
	room    chan struct{}
}

func (p *recorder) note(f func()) {
	p.mu.Lock()
	f()
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

func (p *recorder) Fail(status binproto.Status, identifier uint32, _ time.Duration) {
	p.note(func() { p.fails = append(p.fails, binproto.Response{Status: status, Identifier: identifier}) })
}
func (p *recorder) Close() { p.note(func() { p.closes++ }) }
func (p *recorder) Resume() {
	p.note(func() { p.resumes++ })
	p.room <- struct{}{}
}

func (p *recorder) told() (fails []binproto.Response, closes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.fails), p.closes
}

// wait returns once the peer was told to end, by Fail or Close.
func (p *recorder) wait(t *testing.T) (fails []binproto.Response, closes int) {
	t.Helper()
	ctx := within(t)
	for {
		if fails, closes = p.told(); len(fails)+closes > 0 {
			return fails, closes
		}
		select {
		case <-p.changed:
		case <-ctx.Done():
			t.Fatal("the peer was told nothing")
		}
	}
}

// push is a Push that waits for room as the gateway does.
func (p *recorder) push(t *testing.T, s *Session, n *binproto.Notification) {
	t.Helper()
	if s.Push(n) {
		return
	}
	select {
	case <-p.room:
	case <-within(t).Done():
		t.Fatal("no room came")
	}
}

// list is a feedback list in memory.
type list struct {
	mu    sync.Mutex
	dead  map[string]store.Dead // by token in hex
	calls int
	err   error
}

func (l *list) Record(_ context.Context, app string, dead ...store.Dead) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.err != nil {
		return l.err
	}
	if l.dead == nil {
		l.dead = make(map[string]store.Dead)
	}
	for _, d := range dead {
		d.Token = slices.Clone(d.Token)
		l.dead[fmt.Sprintf("%x", d.Token)] = d
	}
	return nil
}

func (l *list) Revive(_ context.Context, app string, token []byte, sent time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := fmt.Sprintf("%x", token)
	if d, ok := l.dead[key]; ok && d.Time.Before(sent) {
		delete(l.dead, key)
	}
	return l.err
}

func (l *list) Listed(app string, token []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.dead) == 0 {
		return false
	}
	_, ok := l.dead[fmt.Sprintf("%x", token)]
	return ok
}

func (l *list) tokens() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for t := range l.dead {
		all = append(all, t)
	}
	slices.Sort(all)
	return all
}

// shutdown lets the bridge settle everything.
func shutdown(t *testing.T, b *Bridge) {
	t.Helper()
	if err := b.Shutdown(within(t)); err != nil {
		t.Fatal(err)
	}
}

// delivered waits until everything that b has taken has ended.
func delivered(t *testing.T, b *Bridge) {
	t.Helper()
	until(t, "all is delivered", func() bool {
		st := b.Stats()
		return st.Unsettled == 0 && st.Apps["mail"].Waiting.Notifications == 0
	})
}

// deviceToken is a good token of 32 bytes, the same for the same number.
func deviceToken(prefix []byte, number int) []byte {
	token := make([]byte, 32)
	copy(token, prefix)
	token[28], token[29], token[30], token[31] = byte(number>>24), byte(number>>16), byte(number>>8), byte(number)
	return token
}

var (
	goodDevice = []byte{0xaa}
	badDevice  = []byte{0xba, 0xd0}
	deadDevice = []byte{0xde, 0xad}
)

func note(token []byte, id uint32, payload string) *binproto.Notification {
	return &binproto.Notification{Command: binproto.Enhanced, Token: token, Payload: []byte(payload), Identifier: id,
		HasIdentifier: true}
}
