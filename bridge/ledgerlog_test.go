package bridge

import (
	"fmt"
	"os"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
	"apnsbridge/store/storetest"
)

// crashed gives a copy of what a process that is killed now leaves on disk.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	left := t.TempDir()
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return left
}

// A provider is told of a bad token, and the process is killed before the rest is delivered.
// The provider sends that again to the next process: each notification is delivered once.
func TestResendAfterACrash(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			away := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: "aa", Reason: apnssim.ServiceUnavailable}}})
			dir := t.TempDir()
			s := openStore(t, dir, boltstore.Options{})
			c := spooled(s, mode.mode, mailApp(t, away))
			c.Limits.RetryDelay, c.Limits.RetryDelayMax = time.Hour, time.Hour // nothing is written while the directory is copied
			b := startBridge(t, c)
			session, p := open(t, b, Origin{Client: "pin"})
			const tail = 40
			push := func(session *Session, p *recorder) {
				for i := range tail {
					p.push(t, session, note(deviceToken(goodDevice, i), uint32(i+2), fmt.Sprintf(`{"aps":{"badge":%d}}`, 1000+i)))
				}
			}
			p.push(t, session, note(deviceToken(badDevice, 0), 1, hello))
			push(session, p)
			if fails, _ := p.wait(t); len(fails) != 1 || fails[0] != (binproto.Response{Status: binproto.InvalidToken,
				Identifier: 1}) {
				t.Fatalf("told %v", fails)
			}
			until(t, "all has been on disk", func() bool {
				return b.Stats().Apps["mail"].Waiting.OnDisk == tail && gateOf(b, "mail").Unwritten == 0
			})
			until(t, "the ledger is written down", func() bool {
				st := b.Stats()
				return st.Apps["mail"].Conversation.Unsaved == 0 && st.LedgerWait == 0
			})
			dir = crashed(t, dir)

			sim := startSim(t, apnssim.Scenario{})
			s = openStore(t, dir, boltstore.Options{})
			b = startBridge(t, spooled(s, mode.mode, mailApp(t, sim)))
			session, p = open(t, b, Origin{Client: "pin"})
			push(session, p)
			delivered(t, b)
			checkOrder(t, sim, tail)
			session.Close(nil)
		})
	}
}

// While the ledger cannot be written, providers are told of failures all the same. What could
// not be written is written as soon as it can be.
func TestLedgerOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := storetest.NewDisk(t, 4<<20)
	sim := startSim(t, apnssim.Scenario{})
	s := openStore(t, disk.Dir, boltstore.Options{})
	b := startBridge(t, spooled(s, SpoolOverflow, mailApp(t, sim)))
	disk.Fill()
	for i := range 20 {
		session, p := open(t, b, Origin{Client: fmt.Sprint("client ", i)})
		for n := range 60 {
			session.Push(note(deviceToken(goodDevice, n), uint32(n+2), hello))
		}
		session.Push(note(deviceToken(badDevice, 0), 1, hello))
		for n := range 500 {
			session.Push(note(deviceToken(goodDevice, n), uint32(n+100), hello))
		}
		if fails, _ := p.wait(t); len(fails) != 1 {
			t.Fatalf("told %v", fails)
		}
	}
	until(t, "a commit fails", func() bool { return b.Stats().LedgerFailed > 0 })
	disk.Free()
	until(t, "all is written", func() bool {
		count := 0
		if err := s.Ledger().Load(t.Context(), func(store.LedgerRecord) error { count++; return nil }); err != nil {
			t.Fatal(err)
		}
		return count >= 20
	})
}
