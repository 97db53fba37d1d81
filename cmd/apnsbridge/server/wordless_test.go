package server

import (
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// A provider that rejects our certificate only after the handshake closes without a word,
// which is logged once an hour for its app. One that has pushed does not count.
func TestWordless(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	const says = "a provider has ended its connection at once, and sent nothing"
	conn := w.Dial(w.ClientTLS())
	w.Send(0, conn)
	conn.Close()
	for range 3 {
		w.Dial(w.ClientTLS()).Close()
	}
	servertest.WaitFor(t, "the line", func() bool { return strings.Contains(w.Log.String(), says) })
	servertest.WaitFor(t, "the ends", func() bool { return w.service.push.Stats().Connections == 0 })
	if n := strings.Count(w.Log.String(), says); n != 1 {
		t.Errorf("got %d lines, want 1:\n%s", n, w.Log.String())
	}
}

func TestWordlessIsBounded(t *testing.T) {
	var log servertest.Buffer
	now := time.Unix(1_800_000_000, 0)
	w := newWordless(zerolog.New(&log), func() time.Time { return now })
	lines := func(want int) {
		t.Helper()
		if got := strings.Count(log.String(), "\n"); got != want {
			t.Errorf("got %d lines, want %d:\n%s", got, want, log.String())
		}
	}
	w.ended("mail", "a", now.Add(-wordlessWithin-time.Second))
	lines(0)
	for range 50 {
		w.ended("mail", "a", now)
		now = now.Add(time.Minute)
	}
	lines(1)
	w.ended("chat", "b", now)
	lines(2)
	now = now.Add(wordlessEvery)
	w.ended("mail", "a", now)
	lines(3)
	if len(w.told) != 1 {
		t.Errorf("%d apps are remembered, want 1", len(w.told))
	}
}
