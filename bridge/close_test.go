package bridge

import (
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/upstream"
	"apnsbridge/store/boltstore"
)

// slowCarrier is a carrier whose Send is held up.
type slowCarrier struct {
	carrier
	entered, goOn chan struct{}
}

func (c *slowCarrier) Send(p *upstream.Push) {
	close(c.entered)
	<-c.goOn
	c.carrier.Send(p)
}

// What is just being handed to an upstream while the bridge is closed comes back, and is
// the lane's until then: it is counted, or on disk, and closing once more meets nothing.
func TestClosedWhileSending(t *testing.T) {
	for _, mode := range allModes {
		t.Run(mode.name, func(t *testing.T) {
			sim := startSim(t, apnssim.Scenario{})
			s := openStore(t, t.TempDir(), boltstore.Options{})
			b := startBridge(t, spooled(s, mode.mode, mailApp(t, sim)))
			session, _ := open(t, b, Origin{})
			way := b.apps["mail"].route.Load().ways[Production][0]
			slow := &slowCarrier{way.carrier, make(chan struct{}), make(chan struct{})}
			way.carrier = slow
			go session.Push(note(deviceToken(goodDevice, 1), 1, hello))
			<-slow.entered
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				b.Close()
			}()
			until(t, "upstreams are closed, and the lanes come to their end", func() bool { return b.writing.Err() != nil })
			close(slow.goOn)
			<-closed
			b.Close()
			st := b.Stats()
			if app := st.Apps["mail"]; st.Unsettled != 0 || int(app.Abandoned)+app.Waiting.OnDisk != 1 || app.Accepted != 0 {
				t.Errorf("%d unsettled, %d abandoned, %d on disk, %d accepted", st.Unsettled, app.Abandoned, app.Waiting.OnDisk, app.Accepted)
			}
		})
	}
}
