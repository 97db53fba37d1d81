package h2conn

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// Most streams wait for slow answers, and only a few become free: these are filled again, however
// few they are. Only the first piece that is smaller than the ones before has to wait.
func TestRefillBehindSlowStreams(t *testing.T) {
	const streams, rounds = 1000, 20
	paths := make([]string, streams)
	for i := range paths {
		paths[i] = fmt.Sprint("/", i)
	}
	for _, free := range []int{1, 2, 7, 15, 16} {
		t.Run(fmt.Sprint(free, " free"), func(t *testing.T) {
			onOpenWire(t, Config{MaxStreams: streams, RequestTimeout: time.Hour}, func(w *wire) {
				w.submit(0, paths...)
				w.room(0)
				begin, next := time.Now(), uint32(1)
				for range rounds {
					before := w.called()
					for range free {
						w.answer(next, ":status=200")
						next += 2
					}
					synctest.Wait()
					if w.called() == before {
						time.Sleep(time.Duration(refillAfter))
						synctest.Wait()
					}
					if calls := w.called() - before; calls != 1 {
						t.Fatalf("%d calls of Room for %d streams, want 1", calls, free)
					}
					w.submit(0, paths[:free]...)
					w.room(0)
				}
				if took := time.Since(begin); took > time.Duration(refillAfter) {
					t.Errorf("%d rounds waited %v in all, want one wait at most", rounds, took)
				}
			})
		})
	}
}

// called returns how often Room was called.
func (w *wire) called() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rooms
}

// Pieces become large again when more streams become free at a time.
func TestRefillGrowsAgain(t *testing.T) {
	m := newMachine(&Config{MaxStreams: 100, WriteBytes: 1 << 20})
	m.state = Open
	now := int64(1)
	try := func(open int, want bool) {
		t.Helper()
		now += 10
		m.open = open
		m.refill.wanted = true
		if got, _ := m.roomAgain(now); got != want {
			t.Errorf("%d open, pieces of %d: got %v, want %v", open, m.refill.piece, got, want)
		}
	}
	try(100, false)
	try(99, false)
	now += refillAfter
	try(99, true) // after a moment
	try(99, true) // and then at once
	try(95, true)
	try(96, false)
	try(50, true)
	try(85, false)
	try(84, true)
}

// A server that never gives its window back, or allows no streams, answers PING
// and everything it was asked. The connection is left all the same.
func TestNoRoomForever(t *testing.T) {
	const bound = 10 * time.Second
	// spend uses up the window, and answers everything.
	spend := func(w *wire) {
		w.submit(65535, "/1")
		w.answer(1, ":status=200")
		w.ended("/1 answered 200")
		w.room(0)
	}
	// live keeps the connection from looking silent.
	live := func(w *wire, d time.Duration) {
		for ; d > 0; d -= time.Second {
			time.Sleep(time.Second)
			w.fr.WriteRawFrame(0xef, 0, 0, nil)
		}
		synctest.Wait()
	}
	for _, tt := range []struct {
		name string
		do   func(w *wire)
		left bool
	}{
		{"the window stays shut", func(w *wire) {
			spend(w)
			live(w, bound-time.Second)
			w.state(Open, "")
			live(w, 2*time.Second)
		}, true},
		{"no streams are allowed", func(w *wire) {
			w.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
			w.room(0)
			live(w, bound+time.Second)
		}, true},
		{"nobody wants to send", func(w *wire) {
			w.submit(65535, "/1")
			w.answer(1, ":status=200")
			live(w, time.Minute)
		}, false},
		{"a body waits for it", func(w *wire) {
			w.submit(70000, "/1")
			live(w, bound+time.Second)
			w.ended("/1 unprocessed")
		}, true},
		{"a body waits, and the window moves a little", func(w *wire) {
			w.submit(70000, "/1")
			for range 5 {
				live(w, bound-time.Second)
				w.fr.WriteWindowUpdate(0, 1)
			}
		}, false},
		{"a body waits beside a slow one", func(w *wire) {
			w.submit(60000, "/1")
			w.submit(10000, "/2")
			live(w, 2*bound)
		}, false},
		{"a slow one is under way", func(w *wire) {
			w.submit(65535, "/1")
			w.room(0)
			live(w, 2*bound)
		}, false},
		{"the window comes back late", func(w *wire) {
			spend(w)
			for range 3 {
				live(w, bound-time.Second)
				w.fr.WriteWindowUpdate(0, 1)
				synctest.Wait()
				w.submit(1, "/2")
				w.room(0)
				w.answer(w.c.m.next-2, ":status=200")
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onOpenWire(t, Config{PingTimeout: bound, PingAfter: time.Hour, RequestTimeout: time.Hour}, func(w *wire) {
				tt.do(w)
				if tt.left {
					w.state(Closed, ErrBarren.Error())
				} else {
					w.state(Open, "")
				}
			})
		})
	}
}
