//go:build !race

package bridge

import (
	"testing"
	"unsafe"

	"apnsbridge/binproto"
	"apnsbridge/bridge/upstream"
)

// A notification that is accepted allocates nothing between its frame and its verdict:
// its one copy comes from a pool and goes back there.
func TestGoodPathAllocatesNothing(t *testing.T) {
	b, err := newBridge(Config{Feedback: new(list),
		Apps: []App{{Name: "mail", Topic: topic, Credentials: forAll(new(upstream.Credential))}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.cancel()
	a, hand := b.apps["mail"], new(handUpstream)
	a.route.Store(&route{app: a.route.Load().app, ways: handWays(a.route.Load().app, hand, hand), lanes: a.lanes})
	s, err := b.Open(&recorder{changed: make(chan struct{}, 1), room: make(chan struct{}, 1)}, Origin{App: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	note := binproto.Notification{Command: binproto.Enhanced, Token: make([]byte, 32),
		Payload: []byte(`{"aps":{"alert":"Hello"}}`)}
	once := func() {
		note.Identifier++
		s.Push(&note)
		n := hand.sent[0]
		hand.sent = hand.sent[:0]
		n.answered(upstream.Verdict{Class: upstream.Accepted, Code: 200}, b.now())
	}
	if got := testing.AllocsPerRun(1000, once); got != 0 {
		t.Errorf("%v allocations a notification", got)
	}
	s.Close(nil)
}

// A notification takes no more than six cache lines: more are on their way than the processor's
// caches have room for.
func TestNotificationSize(t *testing.T) {
	if size := unsafe.Sizeof(notification{}); size > 6*64 {
		t.Errorf("it has %d bytes", size)
	}
}
