package bridge

import (
	"fmt"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// listCount is how many notifications a resentList has.
const listCount = 200

// resentList is a list that its provider sends again after a crash. One token in the first half is bad; the
// devices of the second half get 503 at first, so that these wait on disk.
type resentList struct{ identifier func(i int) uint32 }

func (l resentList) token(i int) []byte {
	switch {
	case i == listCount/4:
		return deviceToken(badDevice, i)
	case i < listCount/2:
		return deviceToken(goodDevice, i)
	}
	return deviceToken([]byte{0xcc}, i)
}

func (l resentList) note(i int) *binproto.Notification {
	return note(l.token(i), l.identifier(i), fmt.Sprintf(`{"aps":{"badge":%d}}`, 1000+i))
}

func (l resentList) send(t *testing.T, session *Session, p *recorder) {
	t.Helper()
	for i := range listCount {
		p.push(t, session, l.note(i))
	}
}

// counting gives each notification of a list an identifier of its own.
func counting(i int) uint32 { return uint32(i + 1) }

// startAlways is a bridge whose spool has everything first, and whose providers are told of no bad tokens.
func startAlways(t *testing.T, s *boltstore.Store, sim *apnssim.Simulator) (*Bridge, *Session, *recorder) {
	t.Helper()
	app := mailApp(t, sim)
	app.OnBadToken = Continue
	b := startBridge(t, spooled(s, SpoolAlways, app))
	session, p := open(t, b, Origin{Client: "pin"})
	return b, session, p
}

// The process is killed when half of a list was delivered, its provider was told of the bad token, and the
// rest is on disk. The provider sends all of it again to the next process: what is on disk or was delivered
// is not sent to APNs again, and the provider is told of the bad token again.
func TestListSentAgainAfterACrash(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		list  resentList
		known int
	}{
		{"counting", resentList{counting}, listCount - 1},
		{"one identifier for all", resentList{func(int) uint32 { return 7 }}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			badToken := apnssim.Rule{Prefix: "bb", Reason: apnssim.BadDeviceToken}
			last := func() *binproto.Notification {
				return note(deviceToken([]byte{0xcc}, listCount), listCount+1, hello)
			}
			dir := t.TempDir()
			sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{
				{Prefix: "cc", Reason: apnssim.ServiceUnavailable}, badToken,
			}})
			b, session, p := startAlways(t, openStore(t, dir, boltstore.Options{}), sim)
			tt.list.send(t, session, p)
			until(t, "half of it is delivered", func() bool {
				st := b.Stats().Apps["mail"]
				return st.Accepted == listCount/2-1 && st.BadTokens == 1 && st.Waiting.OnDisk == listCount/2
			})
			p.push(t, session, last()) // what is done is recorded together with the next Put
			until(t, "one more is on disk", func() bool { return b.Stats().Apps["mail"].Waiting.OnDisk == listCount/2+1 })
			dir = crashed(t, dir)

			sim = startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{badToken}})
			s := openStore(t, dir, boltstore.Options{})
			b, session, p = startAlways(t, s, sim)
			other, q := open(t, b, Origin{Client: "other"})
			q.push(t, other, tt.list.note(0))
			tt.list.send(t, session, p)
			resentList{counting}.send(t, session, p) // as a new list
			delivered(t, b)
			st := b.Stats().Apps["mail"]
			if int(st.Known) != tt.known || st.BadTokens == 0 {
				t.Errorf("got %d known and %d bad tokens, want %d and at least 1", st.Known, st.BadTokens, tt.known)
			}
			if got, want := int(st.Accepted), 1+listCount/2+1+2*(listCount-1)-tt.known; got != want {
				t.Errorf("got %d accepted, want %d", got, want)
			}
			session.Close(nil)
			other.Close(nil)
			b.Close()

			// After an orderly shutdown only what has not come again is still known.
			b, session, p = startAlways(t, s, sim)
			p.push(t, session, last())
			resentList{counting}.send(t, session, p)
			delivered(t, b)
			if st := b.Stats().Apps["mail"]; st.Known != 1 || int(st.Accepted) != listCount-1 {
				t.Errorf("after a shutdown %d are known, and %d accepted; want 1 and %d", st.Known, st.Accepted, listCount-1)
			}
		})
	}
}
