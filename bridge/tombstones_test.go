package bridge

import (
	"fmt"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// The process is killed when half of a list has been delivered, a bad token among it
// told, and the rest is on disk. The provider sends all again to the next one: what is
// on disk or was delivered is not sent to APNs again, the bad token is told again.
func TestListSentAgainAfterACrash(t *testing.T) {
	t.Parallel()
	const count = 200
	bad := count / 4
	token := func(i int) []byte {
		switch {
		case i == bad:
			return deviceToken(badDevice, i)
		case i < count/2:
			return deviceToken(goodDevice, i)
		}
		return deviceToken([]byte{0xcc}, i)
	}
	list := func(t *testing.T, session *Session, p *recorder, identifier func(i int) uint32) {
		for i := range count {
			p.push(t, session, note(token(i), identifier(i), fmt.Sprintf(`{"aps":{"badge":%d}}`, 1000+i)))
		}
	}
	counting := func(i int) uint32 { return uint32(i + 1) }
	for _, tt := range []struct {
		name       string
		identifier func(int) uint32
		known      int
	}{
		{"counting", counting, count - 1},
		{"one identifier for all", func(int) uint32 { return 7 }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			away := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{
				{Prefix: "cc", Reason: apnssim.ServiceUnavailable}, {Prefix: "bb", Reason: apnssim.BadDeviceToken},
			}})
			dir := t.TempDir()
			s := openStore(t, dir, boltstore.Options{})
			app := mailApp(t, away)
			app.OnBadToken = Continue
			b := startBridge(t, spooled(s, SpoolAlways, app))
			session, p := open(t, b, Origin{Client: "pin"})
			list(t, session, p, tt.identifier)
			until(t, "half of it is delivered", func() bool {
				st := b.Stats().Apps["mail"]
				return st.Accepted == uint64(count/2-1) && st.BadTokens == 1 && st.Waiting.OnDisk == count/2
			})
			// What is done is written down with the next that is put.
			p.push(t, session, note(deviceToken([]byte{0xcc}, count), count+1, hello))
			until(t, "one more is on disk", func() bool { return b.Stats().Apps["mail"].Waiting.OnDisk == count/2+1 })
			dir = crashed(t, dir)

			sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: "bb", Reason: apnssim.BadDeviceToken}}})
			s = openStore(t, dir, boltstore.Options{})
			app = mailApp(t, sim)
			app.OnBadToken = Continue
			b = startBridge(t, spooled(s, SpoolAlways, app))
			session, p = open(t, b, Origin{Client: "pin"})
			other, q := open(t, b, Origin{Client: "other"})
			q.push(t, other, note(token(0), tt.identifier(0), `{"aps":{"badge":1000}}`))
			list(t, session, p, tt.identifier)
			list(t, session, p, counting) // and the list anew
			delivered(t, b)
			st := b.Stats().Apps["mail"]
			if int(st.Known) != tt.known || st.BadTokens == 0 {
				t.Errorf("got %d known and %d bad tokens, want %d and at least 1", st.Known, st.BadTokens, tt.known)
			}
			if got, want := int(st.Accepted), 1+count/2+1+2*(count-1)-tt.known; got != want {
				t.Errorf("got %d accepted, want %d", got, want)
			}
			session.Close(nil)
			other.Close(nil)
			b.Close()

			// What has not come again is still known behind an end in order, and no other.
			b = startBridge(t, spooled(s, SpoolAlways, app))
			session, p = open(t, b, Origin{Client: "pin"})
			p.push(t, session, note(deviceToken([]byte{0xcc}, count), count+1, hello))
			list(t, session, p, counting)
			delivered(t, b)
			if st := b.Stats().Apps["mail"]; st.Known != 1 || int(st.Accepted) != count-1 {
				t.Errorf("behind an end in order %d are known, and %d accepted; want 1 and %d", st.Known, st.Accepted, count-1)
			}
		})
	}
}
