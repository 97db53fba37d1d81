package logwriter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// stuck is a reader of the log that stalls until hold is closed.
type stuck struct {
	servertest.Buffer
	hold chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.hold
	return s.Buffer.Write(p)
}

// A stalled reader delays no writer, costs at most 1 MiB, and is reported; when it
// reads again the log says how much is missing.
func TestLogReaderStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{hold: make(chan struct{})}
		w := New(out, 1<<40)
		log := zerolog.New(w)
		line := strings.Repeat("x", 1000)
		for range 5000 {
			log.Info().Msg(line)
		}
		time.Sleep(3 * time.Second)
		if got := w.Figures(); got.Queued > queueBytes || got.Dropped < 3000 {
			t.Errorf("got %+v, want at most 1 MiB queued and the rest dropped", got)
		}
		if got := w.Trouble(); !strings.HasPrefix(got, "the log is not read: a line has waited for 3 s") {
			t.Errorf("got trouble %q", got)
		}
		close(out.hold)
		synctest.Wait()
		time.Sleep(2 * time.Minute)
		log.Info().Msg("later")
		w.Close(time.Second)
		if text := out.String(); !strings.Contains(text, `"message":"lines are missing from this log"`) ||
			!strings.Contains(text, `"later"`) {
			t.Errorf("got %.300q at the end", text[len(text)-300:])
		}
		if got := w.Trouble(); got != "" {
			t.Errorf("got trouble %q", got)
		}
	})
}

// Close does not wait for a reader that stalls for good.
func TestLogEndsThoughItsReaderStalls(t *testing.T) {
	out := &stuck{hold: make(chan struct{})}
	w := New(out, 1<<20)
	say(w)
	ended := make(chan struct{})
	go func() { w.Close(50 * time.Millisecond); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("Close waits for the reader")
	}
	close(out.hold)
	servertest.WaitFor(t, "the writer has ended",
		func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.writing.IsZero() })
}

func say(w io.Writer) {
	log := zerolog.New(w)
	log.Info().Msg("one")
}

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// A reader that has gone is reported.
func TestLogReaderIsGone(t *testing.T) {
	w := New(gone{}, 1<<20)
	say(w)
	servertest.WaitFor(t, "the line is dropped", func() bool { return w.Figures().Dropped == 1 })
	if got := w.Trouble(); got != "the log cannot be written: 1 lines were dropped" {
		t.Errorf("got trouble %q", got)
	}
	w.Close(time.Second)
}

// Whatever is logged, the log is written at no more than its rate, plus errors, and
// each line is JSON of bounded length.
func TestLogRate(t *testing.T) {
	var mu sync.Mutex
	var out bytes.Buffer
	w := New(writerFunc(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return out.Write(p) }), 1000)
	at := time.Unix(1000, 0)
	w.now = func() time.Time { return at }
	log := zerolog.New(w)
	for range 60 {
		for range 10 {
			log.Info().Str("subject", strings.Repeat("\x01", 900)).Msg("flood")
		}
		log.Warn().Str("subject", strings.Repeat("\x01", 120_000)).Msg("one long line")
		w.mu.Lock()
		at = at.Add(time.Second)
		w.mu.Unlock()
	}
	log.Error().Msg("an error")
	w.Close(10 * time.Second)
	if got, most := out.Len(), 60*1000+errorBytes+1000; got > most {
		t.Errorf("got %d bytes in 60 s, want at most %d", got, most)
	}
	errors := 0
	for dec := json.NewDecoder(&out); ; {
		var line map[string]any
		if err := dec.Decode(&line); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if line["message"] == "an error" {
			errors++
		}
	}
	if got := w.Figures(); errors != 1 || got.OverRate == 0 || got.Cut == 0 {
		t.Errorf("got %d errors and %+v", errors, got)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Dropping a line does not allocate.
func TestLogDropAllocates(t *testing.T) {
	out := &stuck{hold: make(chan struct{})}
	w := New(out, 1)
	defer w.Close(0)
	defer close(out.hold)
	line := []byte("{}\n")
	w.paces[0].Take(errorBytes, time.Now())
	if n := testing.AllocsPerRun(100, func() { w.WriteLevel(zerolog.InfoLevel, line) }); n > 0 {
		t.Errorf("%v allocations for a dropped line", n)
	}
}
