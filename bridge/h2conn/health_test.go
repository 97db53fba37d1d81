package h2conn

import (
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			for range 3 {
				time.Sleep(15*time.Second + 10*time.Millisecond)
				w.want("PING")
				time.Sleep(time.Second)
				w.fr.WritePing(true, pingData(w.c.m.health.serial))
				w.state(Open, "")
				if got, want := w.c.Stats().RTT, time.Second; got < want || got > want+20*time.Millisecond {
					t.Errorf("RTT: got %v, want %v", got, want)
				}
			}
		})
	})
	t.Run("anything heard is a sign of life", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			time.Sleep(15*time.Second + 10*time.Millisecond)
			w.want("PING")
			for range 10 {
				time.Sleep(10 * time.Second)
				w.fr.WriteRawFrame(0xef, 0, 0, nil)
			}
			w.want()
			w.state(Open, "")
		})
	})
	t.Run("silence shorter than the time to open", func(t *testing.T) {
		onOpenWire(t, Config{PingAfter: time.Second, OpenTimeout: time.Minute}, func(w *wire) {
			time.Sleep(time.Second + 10*time.Millisecond)
			w.want("PING")
		})
	})
	t.Run("black hole", func(t *testing.T) {
		onOpenWire(t, Config{RequestTimeout: time.Minute}, func(w *wire) {
			time.Sleep(5 * time.Second)
			w.fr.WriteRawFrame(0xef, 0, 0, nil)
			w.submit(0, "/1")
			time.Sleep(15*time.Second + 10*time.Millisecond)
			w.want("HEADERS 1 /1 end", "PING")
			time.Sleep(14 * time.Second)
			w.ended()
			time.Sleep(time.Second + 10*time.Millisecond)
			w.ended("/1 unanswered")
			w.state(Closed, "no answer to PING")
		})
	})
	t.Run("the server's own", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			w.fr.WritePing(false, [8]byte([]byte("whoareu?")))
			w.want("PING ack whoareu?")
			w.fr.WritePing(true, [8]byte{}) // answers no PING of ours
			w.want()
		})
	})
}

// TestStuck has a server that sends something every now and then, but reads nothing.
func TestStuck(t *testing.T) {
	onDeafWire(t, func(w *wire, fates map[string]Fate) {
		w.submit(0, "/1")
		for range 10 {
			time.Sleep(5 * time.Second)
			if w.fr.WriteRawFrame(0xef, 0, 0, nil) != nil {
				break
			}
		}
		w.state(Closed, ErrStuck.Error())
		if took := time.Since(w.c.made); took < 30*time.Second || took > 50*time.Second {
			t.Errorf("found after %v, want 30 to 50 s", took)
		}
		if fates["/1"] != TimedOut {
			t.Errorf("the request is %v, want timed out", fates["/1"])
		}
	})
}

func TestDeadlines(t *testing.T) {
	onOpenWire(t, Config{RequestTimeout: 10 * time.Second}, func(w *wire) {
		w.submit(0, "/1")
		short := &Request{Prefix: wirePrefix, Path: []byte("/2"), Timeout: time.Second}
		if n, err := w.c.Submit([]*Request{short}); n != 1 {
			t.Fatal(err)
		}
		w.want("HEADERS 1 /1 end", "HEADERS 3 /2 end")
		time.Sleep(time.Second - time.Millisecond)
		w.ended()
		time.Sleep(10 * time.Millisecond)
		w.ended("/2 timed out")
		if w.last != ErrDeadline {
			t.Errorf("got %v, want ErrDeadline", w.last)
		}
		w.want("RST_STREAM 3 CANCEL")
		w.answer(3, ":status=200") // too late
		w.ended()
		time.Sleep(9 * time.Second)
		w.ended("/1 timed out")
		w.want("RST_STREAM 1 CANCEL")
		w.room(1000)
		w.submit(0, "/3")
		w.want("HEADERS 5 /3 end")
		w.answer(5, ":status=200")
		w.ended("/3 answered 200")
	})
}

// What was waited for while the process slept may have come, and is to be read first.
func TestOverslept(t *testing.T) {
	sleep := func(w *wire) {
		w.c.mu.Lock()
		w.c.timer.Stop()
		w.c.mu.Unlock()
		time.Sleep(time.Minute)
		w.c.tick()
	}
	t.Run("an answer", func(t *testing.T) {
		onOpenWire(t, Config{RequestTimeout: 10 * time.Second}, func(w *wire) {
			w.submit(0, "/read", "/never")
			w.want("HEADERS 1 /read end", "HEADERS 3 /never end")
			sleep(w)
			w.ended()
			w.want("PING")
			w.answer(1, ":status=200")
			w.ended("/read answered 200")
			time.Sleep(time.Second + 10*time.Millisecond)
			w.ended("/never timed out")
		})
	})
	t.Run("an answer to PING from before", func(t *testing.T) {
		onOpenWire(t, Config{}, func(w *wire) {
			time.Sleep(15*time.Second + 10*time.Millisecond)
			w.want("PING")
			time.Sleep(time.Millisecond)
			w.fr.WritePing(true, pingData(w.c.m.health.serial))
			sleep(w)
			time.Sleep(14 * time.Second)
			w.state(Open, "")
		})
	})
	t.Run("an answer to PING that is read last", func(t *testing.T) {
		onOpenWire(t, Config{RequestTimeout: 15*time.Second + 20*time.Millisecond}, func(w *wire) {
			w.submit(0, "/1") // for which the timer would have run soon after the PING
			time.Sleep(15*time.Second + 10*time.Millisecond)
			w.want("HEADERS 1 /1 end", "PING")
			sleep(w)
			time.Sleep(time.Millisecond)
			w.answer(1, ":status=200")
			w.fr.WritePing(true, pingData(w.c.m.health.serial))
			w.ended("/1 answered 200")
			time.Sleep(20 * time.Second)
			w.want("PING") // the next
			w.state(Open, "")
		})
	})
	t.Run("an answer to PING", func(t *testing.T) {
		onOpenWire(t, Config{RequestTimeout: time.Hour}, func(w *wire) {
			w.submit(0, "/1")
			time.Sleep(15*time.Second + 10*time.Millisecond)
			w.want("HEADERS 1 /1 end", "PING")
			sleep(w)
			w.ended()
			w.state(Open, "")
			time.Sleep(time.Second + 10*time.Millisecond)
			w.ended("/1 unanswered")
			w.state(Closed, "no answer to PING")
		})
	})
}
