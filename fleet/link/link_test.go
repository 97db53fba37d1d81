package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// Everything that is told to a session arrives in order, and so does everything told to its peer.
func TestCarry(t *testing.T) {
	o := newOwner(t, config("gw1"))
	e := dial(t, o, config("gw2"))
	if e.Node() != "gw1" {
		t.Errorf("got node %q, want gw1", e.Node())
	}
	p := carry(t, e, "mail", "a provider")
	if !p.Push(notification(0)) {
		t.Error("there is no room for a second notification")
	}
	p.Reject(&binproto.Notification{Command: binproto.Framed, HasIdentifier: true, Identifier: 7,
		Layout: binproto.LayoutOf(1, 2), Skipped: 3}, 5)
	p.ReadOn()
	p.Leave(1500 * time.Millisecond)
	p.Shutdown(true)
	p.Close2(nil)
	s := o.of("a provider")
	o.until("it is closed", func() bool { return s.closed && len(s.said) == 5 })
	want := []string{"reject 2 true 7 21 3 status 5", "read on", "leave 1.5s", "shutdown true", "close <nil>"}
	if !slices.Equal(s.said, want) {
		t.Errorf("got %q, want %q", s.said, want)
	}
	o.got("a provider", 1)
	for how, want := range map[error]string{io.EOF: "close EOF", errors.New("reset"): "close " + errBroken.Error()} {
		p := carry(t, e, "mail", want)
		p.Close2(how)
		s := o.of(want)
		o.until(want, func() bool { return slices.Equal(s.said, []string{want}) })
	}
	p = carry(t, e, "mail", "another")
	s = o.of("another")
	s.Fail(8, 1<<31, 1500*time.Millisecond)
	p.heard(t, "fail 8 2147483648 1.5s")
	s.Provider.Close()
	p.heard(t, "close")
	p = carry(t, e, "mail", "one that is cut")
	o.of("one that is cut").Cut()
	p.heard(t, "cut")
	p = carry(t, e, "mail", "refused")
	p.heard(t, "cut")
}

// Close2 closes the session; Close is a method of the Provider.
func (p *provider) Close2(err error) { p.Session.Close(err) }

// Many sessions carry thousands of notifications at once, and each keeps its order.
func TestCarryMany(t *testing.T) {
	const sessions, each = 20, 3000
	o := newOwner(t, config("gw1"))
	e := dial(t, o, config("gw2"))
	var sending sync.WaitGroup
	for i := range sessions {
		p := carry(t, e, fmt.Sprint("app", i%3), fmt.Sprint(i))
		sending.Go(func() {
			p.sendAll(each)
			p.Shutdown(false)
		})
	}
	sending.Wait()
	for i := range sessions {
		o.got(fmt.Sprint(i), each)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.account.total > windowBytes*sessions {
		t.Errorf("got %d bytes under way, more than all windows", e.account.total)
	}
}

// The entry stops reading a session whose owner has no room; the other sessions go on.
func TestCredit(t *testing.T) {
	o := newOwner(t, config("gw1"))
	o.setUp = func(s *session) { s.room = len(o.sessions) > 0 }
	e := dial(t, o, config("gw2"))
	slow := carry(t, e, "mail", "slow")
	o.of("slow")
	quick := carry(t, e, "mail", "quick")
	sent := slow.send(5000)
	if sent != windowNotifications && sent != windowNotifications+1 {
		t.Errorf("sent %d to an owner that has room for one, want that and a window of %d", sent, windowNotifications)
	}
	quick.sendAll(5000)
	o.got("quick", 5000)
	o.got("slow", 1)
	o.resume(o.of("slow"))
	slow.mu.Lock()
	for slow.resumes == 0 {
		slow.changed.Wait()
	}
	slow.mu.Unlock()
	slow.sendAll(3000)
	o.got("slow", sent+3000)
}

// After an error packet, and once the provider has ended, everything that was read arrives,
// whether the owner has room or not.
func TestBehindThePacket(t *testing.T) {
	for _, tt := range []struct {
		name string
		ends func(s *session, p *provider)
	}{
		{"failed", func(s *session, _ *provider) { s.Fail(8, 0, 0) }},
		{"closed by the owner", func(s *session, _ *provider) { s.Provider.Close() }},
		{"ended", func(_ *session, p *provider) { p.Shutdown(false) }},
		{"broken", func(_ *session, p *provider) { p.Close2(errors.New("reset")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOwner(t, config("gw1"))
			o.setUp = func(s *session) { s.room = false }
			e := dial(t, o, config("gw2"))
			p := carry(t, e, "mail", "p")
			s := o.of("p")
			for range 3 * windowNotifications { // as a gateway does after a packet
				p.Push(notification(p.sent))
				p.sent++
			}
			o.got("p", 1)
			tt.ends(s, p)
			o.got("p", 3*windowNotifications)
			p.Close2(nil)
			o.until("it is closed", func() bool { return s.closed })
			e.mu.Lock()
			left := len(e.sessions)
			e.mu.Unlock()
			if left != 0 {
				t.Errorf("%d sessions are left at the entry", left)
			}
		})
	}
}

// There is a bound on what may wait after a packet for an owner that does not take it.
func TestTooMuchBehind(t *testing.T) {
	o := newOwner(t, config("gw1"))
	o.setUp = func(s *session) { s.room, s.loose = false, true }
	p := carry(t, dial(t, o, config("gw2")), "mail", "p")
	large := notification(0)
	large.Payload = make([]byte, 4000)
	for i := range (windowBytes + maxBehind) / 4000 {
		if p.Push(large); i == maxBehind/4000 && len(p.said) > 0 {
			t.Errorf("got %q with %d bytes waiting, want nothing said below the bound", p.said, i*4000)
		}
	}
	p.heard(t, "cut")
}

// An app whose owner takes nothing stops only itself: others have their own part of the link.
func TestSlowApp(t *testing.T) {
	c := config("gw2")
	c.Bytes = 4 << 20 // an app's own part is 64 KiB, and 2 MiB are common
	o := newOwner(t, config("gw1"))
	o.setUp = func(s *session) { s.room = len(o.sessions) >= 40 }
	e := dial(t, o, c)
	var slow []*provider
	for i := range 40 {
		p := carry(t, e, "slow", fmt.Sprint("slow", i))
		o.of(fmt.Sprint("slow", i))
		p.send(5000)
		slow = append(slow, p)
	}
	e.mu.Lock()
	total := e.account.total
	e.mu.Unlock()
	if total < 2<<20 || total > 2<<20+40*1000 {
		t.Errorf("got %d bytes of the slow app under way, want 2 MiB", total)
	}
	quick := carry(t, e, "quick", "quick")
	quick.sendAll(5000)
	o.got("quick", 5000)
	for i := range slow {
		o.resume(o.of(fmt.Sprint("slow", i)))
	}
	for i, p := range slow {
		p.mu.Lock()
		for p.resumes == 0 {
			p.changed.Wait()
		}
		p.mu.Unlock()
		before := int(p.sent)
		p.sendAll(100)
		o.got(fmt.Sprint("slow", i), before+100)
	}
}

// When the link ends, so do the connections at the entry and the sessions at the owner.
func TestLinkEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		ends func(o *owner, e *Entry)
	}{
		{"closed by the entry", func(_ *owner, e *Entry) { e.Close() }},
		{"closed by the owner", func(o *owner, _ *Entry) { o.Close() }},
		{"cut", func(_ *owner, e *Entry) { e.tls.NetConn().Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOwner(t, config("gw1"))
			e := dial(t, o, config("gw2"))
			p := carry(t, e, "mail", "p")
			p.send(10)
			o.got("p", 10)
			s := o.of("p")
			tt.ends(o, e)
			p.heard(t, "cut")
			o.until("it is closed", func() bool { return s.closed })
			if len(s.said) != 1 || !strings.HasPrefix(s.said[0], "close link with gw2") {
				t.Errorf("got %q, want a close because the link has ended", s.said)
			}
			<-e.Done()
			if e.Err() == nil {
				t.Error("got no error from Err of a link that has ended")
			}
			if _, err := e.Open(p, "mail", nil); err == nil {
				t.Error("a session is opened on a link that has ended")
			}
			p.send(10) // which goes nowhere, and must do no harm
			p.Shutdown(false)
			p.Close2(nil)
			s.Fail(8, 1, 0)
			s.Resume()
		})
	}
}

// Nodes tell each other their states.
func TestState(t *testing.T) {
	t.Parallel()
	there, here := config("gw1"), config("gw2")
	there.Alive, here.Alive = time.Second, time.Second
	there.State, here.State = func() byte { return 1 }, func() byte { return 2 }
	o := newOwner(t, there)
	e := dial(t, o, here)
	for deadline := time.Now().Add(time.Minute); e.State() != 1 ||
		o.States()["gw2"] != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got states %d and %v, want 1 and 2", e.State(), o.States())
		}
	}
}

func TestBoundOfSessions(t *testing.T) {
	c := config("gw1")
	c.Sessions = 2
	o := newOwner(t, c)
	e := dial(t, o, config("gw2"))
	for i := range 3 {
		p := carry(t, e, "mail", fmt.Sprint(i))
		if i == 2 {
			p.heard(t, "cut")
		} else {
			o.of(fmt.Sprint(i))
		}
	}
	e = dial(t, newOwner(t, config("gw1")), c)
	for i := range 3 {
		if _, err := e.Open(newProvider(e), "mail", nil); (err == nil) != (i < 2) {
			t.Errorf("session %d: got error %v", i, err)
		}
	}
	if _, err := e.Open(newProvider(e), "mail", make([]byte, maxOrigin+1)); err == nil {
		t.Error("a long origin: got no error")
	}
}

// tuplesReader is a feedback client.
type tuplesReader struct {
	got       []string
	fails     error
	confirmed bool
	finished  int
}

func (r *tuplesReader) Write(b []byte) error {
	r.got = append(r.got, string(b))
	return r.fails
}
func (r *tuplesReader) Finish() (bool, error) {
	r.finished++
	return r.confirmed, r.fails
}
func (r *tuplesReader) Acknowledged() bool { return true }

func TestCarryReader(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    tuplesReader
	}{{"confirmed", tuplesReader{confirmed: true}}, {"broken", tuplesReader{fails: errors.New("connection reset")}}} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOwner(t, config("gw1"))
			done := make(chan struct{})
			o.read = func(_ context.Context, origin string, r Reader) {
				defer close(done)
				for i := range 3 {
					if err := r.Write(fmt.Appendf(nil, "%s %d", origin, i)); (err == nil) != (tt.r.fails == nil) {
						t.Errorf("got %v from Write", err)
					}
				}
				confirmed, err := r.Finish()
				if confirmed != tt.r.confirmed || !r.Acknowledged() || (err == nil) != (tt.r.fails == nil) ||
					err != nil && err.Error() != tt.r.fails.Error() {
					t.Errorf("got %v, %v and acknowledged %v", confirmed, err, r.Acknowledged())
				}
			}
			e := dial(t, o, config("gw2"))
			r := tt.r
			if err := e.Read(context.Background(), []byte("mail"), &r); err != r.fails {
				t.Errorf("got %v, want %v", err, r.fails)
			}
			<-done
			if want := []string{"mail 0", "mail 1", "mail 2"}; !slices.Equal(r.got, want) || r.finished != 1 {
				t.Errorf("got %q, finished %d times, want %q, once", r.got, r.finished, want)
			}
		})
	}
}

// A reader is finished exactly once, whatever ends it.
func TestReaderEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		ends func(o *owner, e *Entry, cancel context.CancelFunc)
	}{
		{"its context", func(_ *owner, _ *Entry, cancel context.CancelFunc) { cancel() }},
		{"the link", func(_ *owner, e *Entry, _ context.CancelFunc) { e.Close() }},
		{"the owner", func(o *owner, _ *Entry, _ context.CancelFunc) { o.Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOwner(t, config("gw1"))
			begun, again := make(chan struct{}), make(chan struct{})
			o.read = func(_ context.Context, _ string, r Reader) {
				if err := r.Write([]byte("tuples")); err != nil {
					t.Error(err)
				}
				close(begun)
				<-again
				if err := r.Write([]byte("more")); err == nil {
					t.Error("got no error from Write after the end")
				}
			}
			e := dial(t, o, config("gw2"))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			r := &tuplesReader{}
			read := make(chan error)
			go func() { read <- e.Read(ctx, nil, r) }()
			<-begun
			ended := make(chan struct{})
			go func() { tt.ends(o, e, cancel); close(ended) }()
			if tt.name == "its context" {
				<-ended
			} else {
				<-e.conn.done
			}
			close(again)
			if err := <-read; err == nil || r.finished != 1 {
				t.Errorf("got %v, finished %d times, want an error, and finished once", err, r.finished)
			}
			<-ended
		})
	}
}

// Carrying a notification allocates nothing.
func TestPushAllocs(t *testing.T) {
	o := newOwner(t, config("gw1"))
	e := dial(t, o, config("gw2"))
	p := carry(t, e, "mail", "p")
	s := p.Session.(*carried)
	n := notification(0)
	e.mu.Lock()
	e.pending = make([]byte, 0, 1<<20)
	e.mu.Unlock()
	if allocs := testing.AllocsPerRun(200, func() {
		e.mu.Lock() // as Push does, but nothing is written
		e.pending = appendPush(e.pending[:0], s.number, n)
		e.account.take(s.window, len(e.pending))
		e.account.room(s.window)
		_ = e.account.credit(s.window, 1, len(e.pending))
		e.pending = e.pending[:0]
		e.mu.Unlock()
	}); allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}

// BenchmarkCarry is one link at full speed, both ends in this process.
func BenchmarkCarry(b *testing.B) {
	o := newOwner(b, config("gw1"))
	e := dial(b, o, config("gw2"))
	p := carry(b, e, "mail", "p")
	s := o.of("p")
	b.ResetTimer()
	p.sendAll(b.N)
	o.until("all are there", func() bool { return len(s.ids) == b.N })
}
