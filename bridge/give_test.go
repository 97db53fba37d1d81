package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// unwritable is a ledger that takes nothing more once it is full, or no more than a few
// records at a time.
type unwritable struct {
	store.Ledger
	full, slow atomic.Bool
}

func (u *unwritable) Append(ctx context.Context, records ...store.LedgerRecord) error {
	if u.full.Load() {
		return errors.New("full")
	}
	return u.Ledger.Append(ctx, records...)
}

func (u *unwritable) Replace(ctx context.Context, records ...store.LedgerRecord) error {
	if u.full.Load() || u.slow.Load() {
		return errors.New("full, or too slow")
	}
	return u.Ledger.Replace(ctx, records...)
}

// When an app is given away or lost, or the process ends, and what is remembered cannot be
// recorded, a bad token is on the feedback list unless its provider is known to have read of it.
func TestBadTokensOfAnUnwritableLedger(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(b *Bridge){
		"given": func(b *Bridge) { _ = b.Give(within(t), "mail", func() {}) },
		"lost":  func(b *Bridge) { b.Lose("mail", func() {}) },
		"ended": (*Bridge).Close,
	} {
		for _, full := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " full ", full), func(t *testing.T) {
				s := openStore(t, t.TempDir(), boltstore.Options{})
				b, _ := two(t, s, SpoolOff, mailApp(t, startSim(t, apnssim.Scenario{})))
				u := &unwritable{Ledger: s.Ledger()}
				if err := b.Take("mail", u); err != nil {
					t.Fatal(err)
				}
				u.full.Store(full)
				session := tellBad(t, b)
				session.Shutdown(false)
				delivered(t, b)
				end(b)
				b.Close()
				dead, err := s.Feedback().Pending(t.Context(), "mail", 0, 10)
				if err != nil || (len(dead) == 1) != full {
					t.Errorf("the list is %v, %v", dead, err)
				}
			})
		}
	}
}

// The next owner knows what was recorded as it came, even if it cannot all be written again when
// the app is given away: a bad token that these records tell of is not put on the list as well.
func TestGiveToASlowLedger(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir(), boltstore.Options{})
	b, _ := two(t, s, SpoolOff, mailApp(t, startSim(t, apnssim.Scenario{})))
	u := &unwritable{Ledger: s.Ledger()}
	u.slow.Store(true)
	if err := b.Take("mail", u); err != nil {
		t.Fatal(err)
	}
	tellBad(t, b).Shutdown(false)
	delivered(t, b)
	_ = b.Give(within(t), "mail", func() {})
	b.Close()
	if dead, err := s.Feedback().Pending(t.Context(), "mail", 0, 10); err != nil || len(dead) > 0 {
		t.Errorf("the list is %v, %v", dead, err)
	}
}

// While an app is being given away, its providers are not read, so that only what is there has
// to be written. Those that have ended their side are read, and afterwards all others.
func TestUnreadWhileGiven(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	s := openStore(t, t.TempDir(), boltstore.Options{})
	b, _ := two(t, s, SpoolOverflow, mailApp(t, sim))
	take(t, b, s)
	writes, p := open(t, b, Origin{})
	ends, _ := open(t, b, Origin{})
	badge := func(i int) *binproto.Notification { return note(deviceToken(goodDevice, i), uint32(i), hello) }
	p.push(t, writes, badge(0))
	if err := b.Give(within(t), "mail", func() {
		if writes.Push(badge(1)) {
			t.Error("a provider is read on while its app is given")
		}
		if ends.ReadOn(); !ends.Push(badge(2)) {
			t.Error("one that has ended its side is not")
		}
	}); err != nil {
		t.Error(err)
	}
	select {
	case <-p.room:
	case <-within(t).Done():
		t.Fatal("it is not read on, now that the app is given")
	}
	p.push(t, writes, badge(3))
	await(t, sim, "all", 4)
}

// A provider that was told of a failure, and is not read for want of memory, is not mistaken for
// a silent one: what it has written belongs to the packet's record.
func TestGiveAwaitsTheUnread(t *testing.T) {
	t.Parallel()
	sim, clock := startSim(t, apnssim.Scenario{}), new(movableClock)
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}, Now: clock.now, Limits: Limits{QueuedBytes: 64 << 10}})
	session := tellBad(t, b)
	setScenario(t, sim, apnssim.Scenario{Outage: &apnssim.Outage{}})
	for i := 0; session.Push(note(deviceToken(goodDevice, tail+i), uint32(tail+i+2), hello)); i++ {
	}
	await := func() (writing int) {
		clock.forward(toldQuiet)
		ctx, cancel := context.WithTimeout(t.Context(), 20*giveStep)
		defer cancel()
		return b.awaitTold(ctx, b.appOf("mail"))
	}
	if writing := await(); writing != 1 {
		t.Errorf("%d write on, want 1", writing)
	}
	setScenario(t, sim, apnssim.Scenario{})
	until(t, "it has been read, and writes nothing", func() bool { return await() == 0 })
}
