package server

import (
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
)

// reload does what SIGHUP does.
func (w *world) reload() {
	w.T.Helper()
	if err := w.service.reload(); err != nil {
		w.T.Fatalf("reload: %v", err)
	}
}

// changeSomething reloads with one of several changes, some of which must be refused.
func (w *world) changeSomething(n int) error {
	broken := false
	switch n % 6 {
	case 0:
		w.Amend("topic: "+story.Topic, "push_type: alert\n    topic: "+story.Topic)
	case 1:
		w.Amend("push_type: alert\n", "on_bad_token: report\n")
	case 2: // new connections to APNs
		w.Amend("key_id: DEVELOPER1", "key_id: DEVELOPER2")
		w.Amend("on_bad_token: report\n    ", "")
	case 3:
		w.Amend("apps:", "limits: {window: x}\napps:")
		broken = true
	case 4:
		w.Amend("limits: {window: x}\n", "")
		w.Amend("key_id: DEVELOPER2", "key_id: DEVELOPER1")
		w.Write("server.pem", servertest.Strangers().Server.CertPEM)
		broken = true
	case 5:
		w.Write("server-key.pem", servertest.Strangers().Server.KeyPEM)
		if err := w.service.reload(); err != nil {
			return err
		}
		w.Write("server.pem", servertest.PKI().Server.CertPEM)
		w.Write("server-key.pem", servertest.PKI().Server.KeyPEM)
	}
	if err := w.service.reload(); (err != nil) != broken {
		return fmt.Errorf("reload %d: got error %v, and its file is broken: %v", n, err, broken)
	}
	return nil
}

// paced yields rate notifications a second.
func paced(rate int, notes iter.Seq[binproto.Notification]) iter.Seq[binproto.Notification] {
	return func(yield func(binproto.Notification) bool) {
		n, start := 0, time.Now()
		for note := range notes {
			n++
			<-time.After(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(rate))))
			if !yield(note) {
				return
			}
		}
	}
}

// followed yields notifications no faster than the gateway keeps up, however busy the machine is: of those given to
// all providers together, at most some thousands are not accepted yet.
func (w *world) followed(given *atomic.Int64, notes iter.Seq[binproto.Notification]) iter.Seq[binproto.Notification] {
	const ahead = 4000
	return func(yield func(binproto.Notification) bool) {
		for note := range notes {
			for n := given.Add(1); int(n)-w.Sim.Stats().Accepted > ahead; {
				<-time.After(10 * time.Millisecond)
			}
			if !yield(note) {
				return
			}
		}
	}
}

// numbered yields notifications, each to another device, until there are enough.
func numbered(sender int, enough *atomic.Bool) iter.Seq[binproto.Notification] {
	return func(yield func(binproto.Notification) bool) {
		for i := 0; !enough.Load(); i++ {
			n := binproto.Notification{Command: binproto.Enhanced,
				Token: servertest.Unhex(servertest.Token(fmt.Sprintf("%02x", 0x20+sender),
					i)), Payload: []byte(`{"aps":{"alert":"x"}}`), Expiry: uint32(time.Now().Add(time.Hour).Unix())}
			if !yield(n) {
				return
			}
		}
	}
}
