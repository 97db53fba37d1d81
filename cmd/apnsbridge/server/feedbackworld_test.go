package server

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/provider"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

func listToken(i int) []byte {
	return binary.BigEndian.AppendUint32(bytes.Repeat([]byte{0x0e}, 28), uint32(i))
}

// feedbackWorld is a gateway with a long feedback list, and a clock that the test sets.
type feedbackWorld struct {
	*world
	clock   atomic.Int64 // seconds since 1970
	stall   time.Duration
	drained int // drains that have ended
}

func newFeedbackWorld(t *testing.T) *feedbackWorld {
	t.Helper()
	w := &feedbackWorld{world: newWorld(t, apnssim.Scenario{}), stall: stall}
	w.clock.Store(time.Now().Unix())
	w.now = func() time.Time { return time.Unix(w.clock.Load(), 0) }
	w.Reconfigure("apps:", fmt.Sprintf("limits: {feedback_stall: %v}\napps:", stall))
	s, err := boltstore.Open(w.Path("data"), boltstore.Options{Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	const batch = 50_000
	for i := 0; i < listLen; i += batch {
		dead := make([]store.Dead, batch)
		for j := range dead {
			dead[j] = store.Dead{Token: listToken(i + j), Time: time.Unix(int64(listSince+i+j), 0)}
		}
		if err := s.Feedback().Record(t.Context(), "demo", dead...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.Start()
	return w
}

// restart starts the gateway again, with another feedback_stall.
func (w *feedbackWorld) restart(stall time.Duration) {
	w.T.Helper()
	w.Reconfigure(fmt.Sprintf("{feedback_stall: %v}", w.stall), fmt.Sprintf("{feedback_stall: %v}", stall))
	w.stall = stall
	w.Start()
}

// pass advances the clock.
func (w *feedbackWorld) pass(d time.Duration) { w.clock.Add(int64(d / time.Second)) }

// next waits for the end of the next drain and returns its outcome.
func (w *feedbackWorld) next(t *testing.T) (outcome string) {
	t.Helper()
	servertest.WaitFor(t, "the next drain ends", func() bool {
		n := 0
		for line := range strings.Lines(w.Log.String()) {
			var event struct{ Message, Outcome string }
			if json.Unmarshal([]byte(line), &event) == nil && event.Message == "feedback" {
				n, outcome = n+1, event.Outcome
			}
		}
		return n > w.drained
	})
	w.drained++
	return outcome
}

func (w *feedbackWorld) checkListed(t *testing.T, want int) {
	t.Helper()
	if got := w.service.store.Stats().FeedbackEntries; got != want {
		t.Errorf("got %d entries on the list, want %d", got, want)
	}
}

// checkNext waits for the end of the next drain and checks its outcome.
func (w *feedbackWorld) checkNext(t *testing.T, want string) {
	t.Helper()
	if got := w.next(t); got != want {
		t.Errorf("the outcome of drain %d is %q, want %q", w.drained, got, want)
	}
}

// checkReads reads the list like a good reader.
func (w *feedbackWorld) checkReads(t *testing.T, version uint16, tuples int, outcome string) {
	t.Helper()
	config, got := w.ClientTLS(), newTally(t)
	config.MinVersion, config.MaxVersion = version, version
	n, err := provider.ReadFeedback(t.Context(), w.Feedback, config, func(u binproto.Tuple) error {
		got.add(u)
		return nil
	})
	if err != nil || n != tuples {
		t.Errorf("got %d tuples and error %v, want %d", n, err, tuples)
	}
	w.checkNext(t, outcome)
}

// tally is the entries that one reader has got. It checks that each is on the list, and
// that none comes twice.
type tally struct {
	t    *testing.T
	seen []bool
}

func newTally(t *testing.T) *tally { return &tally{t: t, seen: make([]bool, listLen)} }

func (g *tally) add(u binproto.Tuple) {
	i := int(binary.BigEndian.Uint32(u.Token[len(u.Token)-4:]))
	if i >= listLen || u.Time != uint32(listSince+i) || !bytes.Equal(u.Token, listToken(i)) {
		g.t.Fatalf("got token %x with time %d, which is not on the list", u.Token, u.Time)
	}
	if g.seen[i] {
		g.t.Fatalf("got token %x twice", u.Token)
	}
	g.seen[i] = true
}

// addAll adds whole tuples.
func (g *tally) addAll(b []byte) {
	g.t.Helper()
	for len(b) > 0 {
		var u binproto.Tuple
		n, err := binproto.ParseTuple(b, &u)
		if err != nil {
			g.t.Fatalf("got an incomplete tuple % x", b)
		}
		g.add(u)
		b = b[n:]
	}
}
