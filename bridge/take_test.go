package bridge

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// two are the bridges of two nodes, which share what a fleet shares: here, one store.
func two(t *testing.T, s *boltstore.Store, mode SpoolMode, apps ...App) (first, second *Bridge) {
	t.Helper()
	c := Config{Apps: apps, Feedback: s.Feedback(), Spool: s.Spool(), Mode: mode, Fleet: true}
	return startBridge(t, c), startBridge(t, c)
}

func take(t *testing.T, b *Bridge, s *boltstore.Store) {
	t.Helper()
	if err := b.Take("mail", s.Ledger()); err != nil {
		t.Fatal(err)
	}
}

func give(t *testing.T, b *Bridge) {
	t.Helper()
	disowned := 0
	if err := b.Give(within(t), "mail", func() { disowned++ }); err != nil {
		t.Fatal(err)
	}
	if disowned != 1 {
		t.Errorf("disowned %d times", disowned)
	}
}

// An app of another process opens no session, and one that was never configured cannot be
// taken.
func TestAway(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir(), boltstore.Options{})
	b, _ := two(t, s, SpoolOverflow, mailApp(t, startSim(t, apnssim.Scenario{})))
	refused := func() {
		t.Helper()
		if _, err := b.Open(new(recorder), Origin{App: "mail"}); !errors.Is(err, ErrAway) {
			t.Errorf("opened with %v", err)
		}
	}
	refused()
	if err := b.Take("post", s.Ledger()); err == nil {
		t.Error("an app was taken that nobody has configured")
	}
	take(t, b, s)
	open(t, b, Origin{})
	give(t, b)
	refused()
	b.Loosen("mail")
	open(t, b, Origin{})
	b.Lose("mail", func() {})
	refused()
}

// tail is how many notifications stand behind a bad one.
const tail = 40

func pushTail(t *testing.T, session *Session, p *recorder) {
	t.Helper()
	for i := range tail {
		p.push(t, session, note(deviceToken(goodDevice, i), uint32(i+2), fmt.Sprintf(`{"aps":{"badge":%d}}`, i)))
	}
}

// tellBad lets a provider be told of a bad token with a tail behind it.
func tellBad(t *testing.T, b *Bridge) *Session {
	t.Helper()
	session, p := open(t, b, Origin{Client: "pin"})
	p.push(t, session, note(deviceToken(badDevice, 0), 1, hello))
	pushTail(t, session, p)
	if fails, _ := p.wait(t); len(fails) != 1 || fails[0].Identifier != 1 {
		t.Fatalf("told %v", fails)
	}
	return session
}

// What a provider was told by the first owner of an app it sends again to the second:
// each notification is delivered once.
func TestResendToTheNextOwner(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	s := openStore(t, t.TempDir(), boltstore.Options{})
	first, second := two(t, s, SpoolOverflow, mailApp(t, sim))
	take(t, first, s)
	session := tellBad(t, first)
	session.Close(nil)
	give(t, first)
	take(t, second, s)
	again, p := open(t, second, Origin{Client: "pin"})
	pushTail(t, again, p)
	p.push(t, again, note(deviceToken(goodDevice, tail), tail+2, `{"aps":{"badge":1000}}`))
	await(t, sim, "the first after the resend", tail+1)
	delivered(t, second)
	if st := sim.Stats(); st.Accepted != tail+1 || st.Duplicates > 0 {
		t.Errorf("accepted %d, of %d; doubled %d", st.Accepted, tail+1, st.Duplicates)
	}
}

// What waits of an app goes with it, once, in both modes, and so does what still comes over
// connections that its first owner reads to their ends.
func TestGiveWhatWaits(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
			s := openStore(t, t.TempDir(), boltstore.Options{})
			first, second := two(t, s, mode.mode, mailApp(t, sim))
			take(t, first, s)
			session, p := open(t, first, Origin{})
			const before, behind = 300, 100
			for i := range before {
				p.push(t, session, note(deviceToken(goodDevice, i), uint32(i), hello))
			}
			give(t, first)
			for i := before; i < before+behind; i++ {
				p.push(t, session, note(deviceToken(goodDevice, i), uint32(i), hello))
			}
			if err := sim.SetScenario(apnssim.Scenario{}); err != nil {
				t.Fatal(err)
			}
			take(t, second, s)
			await(t, sim, "all", before+behind)
			delivered(t, first)
			delivered(t, second)
			if st := sim.Stats(); st.Accepted != before+behind || st.Duplicates > 0 {
				t.Errorf("accepted %d, of %d; doubled %d", st.Accepted, before+behind, st.Duplicates)
			}
			if fails, closes := p.wait(t); len(fails) > 0 || closes != 1 {
				t.Errorf("told %v, closed %d times: want an end without a packet", fails, closes)
			}
		})
	}
}

// A provider is told nothing of bad tokens while it is not known which process owns its app, nor
// once the app is about to be given away; they go to the feedback list. It is told again once
// this process owns the app.
func TestHushed(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	list := new(list)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Feedback: list, Fleet: true})
	s := openStore(t, t.TempDir(), boltstore.Options{})
	take(t, b, s)
	held := hold(b)
	session, p := open(t, b, Origin{})
	bad := func(number int) {
		p.push(t, session, note(deviceToken(badDevice, number), uint32(number), hello))
	}
	listed := func(want int) {
		t.Helper()
		until(t, fmt.Sprintf("%d bad tokens are listed", want), func() bool { return len(list.tokens()) == want })
		if fails, closes := p.told(); len(fails)+closes > 0 {
			t.Fatalf("told %v, closed %d times", fails, closes)
		}
	}
	bad(1)
	b.Hush("mail") // while its verdict is on the way
	held.letGo()
	listed(1)
	bad(2)
	listed(2)
	b.GoOn("mail")
	b.Loosen("mail")
	bad(3)
	listed(3)
	b.GoOn("mail")
	bad(4)
	if fails, _ := p.wait(t); len(fails) != 1 || fails[0] != (binproto.Response{Status: binproto.InvalidToken,
		Identifier: 4}) {
		t.Errorf("told %v", fails)
	}
}

// A session that is to leave ends when its provider pauses, at the latest when patience is over.
func TestLeave(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}})
	idle, p := open(t, b, Origin{})
	idle.Leave(time.Hour)
	if fails, closes := p.wait(t); len(fails) > 0 || closes != 1 {
		t.Errorf("told %v, closed %d times", fails, closes)
	}
	busy, p := open(t, b, Origin{})
	busy.Leave(100 * time.Millisecond)
	ctx, cancel := context.WithCancel(within(t))
	go func() {
		defer cancel()
		p.wait(t)
	}()
	for i := 0; ctx.Err() == nil; i++ {
		p.push(t, busy, note(deviceToken(goodDevice, i), uint32(i), fmt.Sprintf(`{"aps":{"badge":%d}}`, i)))
	}
}

// nodeWithWaiting is a fleet's node that has the app, with count notifications on its disk, each for
// another device, which wait because of sim's scenario. The session that brought them is still open.
func nodeWithWaiting(
	t *testing.T, sim *apnssim.Simulator, s *boltstore.Store, spool Spool, limits Limits, count int,
) (*Bridge, *Session) {
	t.Helper()
	b := startBridge(t, Config{
		Apps: []App{mailApp(t, sim)}, Feedback: s.Feedback(), Spool: spool, Mode: SpoolOverflow, Fleet: true, Limits: limits,
	})
	take(t, b, s)
	session, p := open(t, b, Origin{})
	for i := range count {
		p.push(t, session, note(deviceToken(goodDevice, i), uint32(i), hello))
	}
	until(t, "all is on disk", func() bool { return b.Stats().Apps["mail"].Waiting.OnDisk == count })
	return b, session
}

// eachOnce checks that APNs has accepted count notifications, none of them twice.
func eachOnce(t *testing.T, sim *apnssim.Simulator, count int) {
	t.Helper()
	if st := sim.Stats(); int(st.Accepted) != count || st.Duplicates > 0 {
		t.Errorf("accepted %d, of %d; doubled %d", st.Accepted, count, st.Duplicates)
	}
}

// A node that ends delivers what has come to its own disk meanwhile: it may never start again.
func TestNodeEndsWithNothingLeft(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
	s := openStore(t, t.TempDir(), boltstore.Options{})
	const count = 3000
	b, session := nodeWithWaiting(t, sim, s, s.Spool(), Limits{}, count)
	session.Close(nil)
	setScenario(t, sim, apnssim.Scenario{})
	await(t, sim, "the door is open again", 200)
	if err := b.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
	eachOnce(t, sim, count)
}

// A node that ends tries again what waits for its device, or for APNs, while there is time.
func TestNodeEndsThoughSomeWait(t *testing.T) {
	t.Parallel()
	busy := func(reason apnssim.Reason) apnssim.Scenario {
		return apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: hex.EncodeToString(goodDevice), Reason: reason}}}
	}
	for name, trouble := range map[string]apnssim.Scenario{
		"for their devices": busy(apnssim.TooManyRequests),
		"for APNs":          {Outage: &apnssim.Outage{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, trouble)
			s := openStore(t, t.TempDir(), boltstore.Options{})
			const count = 20
			b, session := nodeWithWaiting(t, sim, s, s.Spool(), Limits{}, count)
			session.Close(nil)
			asked := sim.Stats().Received
			over := make(chan error, 1)
			go func() { over <- b.Shutdown(within(t)) }()
			if err := sim.Wait(within(t), func(s apnssim.Stats) bool { return s.Received > asked }); err != nil {
				t.Fatal(err)
			}
			setScenario(t, sim, apnssim.Scenario{})
			if err := <-over; err != nil {
				t.Error(err)
			}
			eachOnce(t, sim, count)
		})
	}
}

func await(t *testing.T, sim *apnssim.Simulator, what string, accepted int) {
	t.Helper()
	if err := sim.Wait(within(t), func(s apnssim.Stats) bool { return int(s.Accepted) >= accepted }); err != nil {
		t.Fatalf("%s: %v; %+v", what, err, sim.Stats())
	}
}

// An app that comes back to the process that had it is not remembered there twice, although it
// was recorded meanwhile: a resend is swallowed once, and the same again is delivered.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	s := openStore(t, t.TempDir(), boltstore.Options{})
	clock := new(movableClock)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Feedback: s.Feedback(), Spool: s.Spool(),
		Mode: SpoolOverflow, Fleet: true, Now: clock.now})
	take(t, b, s)
	tellBad(t, b)
	await(t, sim, "the tail", tail)
	clock.forward(toldQuiet) // its provider does not end the connection
	give(t, b)
	take(t, b, s)
	again, p := open(t, b, Origin{Client: "pin"})
	pushTail(t, again, p)
	pushTail(t, again, p)
	await(t, sim, "the same again", 2*tail)
	delivered(t, b)
	if st := sim.Stats(); st.Accepted != 2*tail {
		t.Errorf("accepted %d, want %d: the tail, and what came a second time behind its resend", st.Accepted, 2*tail)
	}
}

// ahead is a spool of which nothing is read once it is closed.
type ahead struct {
	Spool
	closed atomic.Bool
}

func (a *ahead) Waiting(l store.Line) int {
	if a.closed.Load() {
		return 0
	}
	return a.Spool.Waiting(l)
}

// What was read from the shared store, and is not with APNs, is not delivered while it is not
// known which process owns the app.
func TestLoosenedReads(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
	s := openStore(t, t.TempDir(), boltstore.Options{})
	spool := &ahead{Spool: s.Spool()}
	const count, most = 1000, 500
	b, _ := nodeWithWaiting(t, sim, s, spool, Limits{Connections: 1, Streams: 10}, count)
	if err := sim.SetScenario(apnssim.Scenario{Latency: apnssim.Latency{Fixed: 200}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Try("mail"); err != nil {
		t.Fatal(err)
	}
	await(t, sim, "some", 20)
	spool.closed.Store(true)
	b.Loosen("mail")
	until(t, "nothing is with APNs any more", func() bool { return b.appOf("mail").out() == 0 })
	if before := sim.Stats().Accepted; before > most {
		t.Errorf("%d were delivered, of which %d should wait", before, count)
	}
	if err := sim.SetScenario(apnssim.Scenario{}); err != nil {
		t.Fatal(err)
	}
	spool.closed.Store(false)
	b.GoOn("mail")
	await(t, sim, "all", count)
	delivered(t, b)
	eachOnce(t, sim, count)
}
