package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/binproto"
)

// held back by hand: an upstream that answers when the test says so.
type handUpstream struct{ sent []*record }

func (u *handUpstream) Send(r *record) { u.sent = append(u.sent, r) }
func (u *handUpstream) Renew(string)   {}
func (u *handUpstream) Retire()        {}
func (u *handUpstream) Close()         {}

// modelNote is a notification as the naive model sees it.
type modelNote struct {
	id       uint32
	hasID    bool
	device   byte
	open     bool // begun, without a verdict
	verdict  class
	rejected binproto.Status
	done     bool // settled, or left to the feedback list
	waits    bool // for the feedback list to settle
}

// sessionModel is one connection told in the plainest way: a list of all
// notifications, from which everything is worked out again at each step.
type sessionModel struct {
	notes    []*modelNote
	head     int
	fails    []binproto.Response
	closes   int
	ending   bool
	gone     bool
	feedback []byte // devices that go on the list, or off it
}

func (m *sessionModel) told() bool { return len(m.fails)+m.closes > 0 }

// advance takes settled notes off the front.
func (m *sessionModel) advance() {
	for m.head < len(m.notes) && m.notes[m.head].done {
		n := m.notes[m.head]
		m.head++
		status := n.rejected
		switch {
		case n.verdict == badToken && !n.waits:
			status = binproto.InvalidToken
		case n.verdict == refused:
			status = binproto.InvalidPayloadSize
		}
		switch {
		case status == binproto.NoError:
		case n.hasID && !m.told() && !m.gone:
			m.fails = append(m.fails, binproto.Response{Status: status, Identifier: n.id})
		case status == binproto.InvalidToken:
			m.feedback = append(m.feedback, n.device)
		}
	}
	if m.head == len(m.notes) && m.ending && !m.told() && !m.gone {
		m.closes++
	}
}

// TestSessionAgainstModel drives one session with random histories of pushes,
// rejections, verdicts in any order, and endings.
func TestSessionAgainstModel(t *testing.T) {
	rounds := 1
	if *long {
		rounds = 200
	}
	for range rounds {
		rapid.Check(t, checkSession)
	}
}

func checkSession(t *rapid.T) {
	lists := new(list)
	b, err := newBridge(Config{Feedback: lists, Limits: Limits{Window: 1 << 20}, Apps: []App{{Name: "mail", Topic: topic, Credential: new(Credential)}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.cancel()
	a, hand := b.apps["mail"], new(handUpstream)
	a.route.Store(&route{app: a.route.Load().app, upstreams: [2]upstream{hand, hand}})
	p := &recorder{changed: make(chan struct{}, 1), room: make(chan struct{}, 100)}
	s, err := b.Open(p, Origin{App: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	m := new(sessionModel)
	places := make(map[*record]*modelNote)
	begun := func(r *record) bool {
		n := places[r]
		if n.open {
			return true
		}
		tail := len(m.fails) > 0
		if got := r.begin(); got == tail {
			t.Fatalf("device %d: begin is %v behind a reported failure (%v)", n.device, got, tail)
		}
		n.open = !tail
		if tail {
			n.done = true
			m.advance()
		}
		return n.open
	}
	// register finds the model's notes for what has come upstream.
	register := func() {
		for _, r := range hand.sent {
			if places[r] == nil {
				for _, n := range m.notes {
					if fmt.Sprint(n.id) == string(r.payload()) {
						places[r] = n
					}
				}
			}
		}
	}
	identifier := uint32(0)
	newNote := func(t *rapid.T) *modelNote {
		identifier++
		n := &modelNote{id: identifier, hasID: rapid.IntRange(0, 4).Draw(t, "with id") > 0, device: rapid.Byte().Draw(t, "device") % 6}
		return n
	}
	t.Repeat(map[string]func(*rapid.T){
		"push": func(t *rapid.T) {
			if m.gone || m.ending {
				t.Skip("ended")
			}
			n := newNote(t)
			frame := note(deviceToken([]byte{n.device}, int(n.device)), n.id, fmt.Sprint(n.id))
			frame.HasIdentifier = n.hasID
			tail := len(m.fails) > 0
			s.Push(frame)
			if !tail {
				m.notes = append(m.notes, n)
			}
			register()
		},
		"reject": func(t *rapid.T) {
			if m.gone || m.ending {
				t.Skip("ended")
			}
			n := newNote(t)
			n.rejected, n.done = binproto.InvalidTokenSize, true
			s.Reject(&binproto.Notification{Identifier: n.id, HasIdentifier: n.hasID}, n.rejected)
			m.notes = append(m.notes, n)
			m.advance()
		},
		"answer": func(t *rapid.T) {
			if len(hand.sent) == 0 {
				t.Skip("nothing is upstream")
			}
			i := rapid.IntRange(0, len(hand.sent)-1).Draw(t, "which")
			r := hand.sent[i]
			hand.sent = slices.Delete(hand.sent, i, i+1)
			n := places[r]
			if !begun(r) {
				delete(places, r)
				register()
				return
			}
			n.open = false
			n.verdict = rapid.SampledFrom([]class{accepted, accepted, accepted, badToken, refused, gone}).Draw(t, "class")
			v := verdict{class: n.verdict}
			switch n.verdict {
			case badToken:
				v.status = binproto.InvalidToken
				n.waits = m.told() || m.gone || !n.hasID
			case refused:
				v.status = binproto.InvalidPayloadSize
			case gone:
				n.waits = true
			case accepted:
				// A device on the list has to leave it first.
				n.waits = lists.Listed("mail", r.token())
			}
			if n.waits {
				m.feedback = append(m.feedback, n.device)
			} else {
				n.done = true
				m.advance()
			}
			delete(places, r)
			a.answered(r, v)
			register()
		},
		"store": func(t *rapid.T) {
			b.feedback.mu.Lock()
			batch := b.feedback.queue
			b.feedback.queue = nil
			b.feedback.mu.Unlock()
			b.feedback.write(b.ctx, batch)
			for _, n := range m.notes[m.head:] {
				n.done = n.done || n.waits
			}
			m.advance()
		},
		"shutdown": func(t *rapid.T) {
			if m.gone || m.ending {
				t.Skip("ended")
			}
			m.ending = true
			m.advance()
			s.Shutdown(false)
		},
		"close": func(t *rapid.T) {
			if m.gone {
				t.Skip("gone")
			}
			m.gone = true
			s.Close(nil)
		},
		"": func(t *rapid.T) {
			fails, closes := p.told()
			if !slices.Equal(fails, m.fails) || closes != m.closes {
				t.Fatalf("told %v, closed %d; want %v, %d", fails, closes, m.fails, m.closes)
			}
			if got, want := s.window.Len(), len(m.notes)-m.head; got != want {
				t.Fatalf("%d in the window, want %d", got, want)
			}
			st := b.Stats().Apps["mail"]
			if got := int(st.Feedback+st.Revived) + b.feedback.len(); got != len(m.feedback) {
				t.Fatalf("%d for the feedback list, want %d", got, len(m.feedback))
			}
			devices := make(map[string]bool)
			for _, r := range hand.sent {
				if devices[string(r.token())] {
					t.Fatalf("two notifications for device %x are upstream", r.token())
				}
				devices[string(r.token())] = true
			}
		},
	})
	// Whatever the history, all ends: with everything answered and stored
	// nothing is left.
	for len(hand.sent) > 0 {
		r := hand.sent[0]
		hand.sent = hand.sent[1:]
		if places[r] != nil && places[r].open || r.begin() {
			a.answered(r, verdict{class: accepted})
		}
	}
	b.feedback.write(b.ctx, b.feedback.queue)
	if left := b.unsettled.Load(); left != 0 || b.budget.used.Load() != 0 {
		t.Fatalf("%d notifications and %d bytes are left", left, b.budget.used.Load())
	}
}

// The way of a notification through session, chain and window, without the wire.
func BenchmarkSession(b *testing.B) {
	br, err := newBridge(Config{Feedback: new(list), Apps: []App{{Name: "mail", Topic: topic, Credential: new(Credential)}}})
	if err != nil {
		b.Fatal(err)
	}
	defer br.cancel()
	a, hand := br.apps["mail"], new(handUpstream)
	a.route.Store(&route{app: a.route.Load().app, upstreams: [2]upstream{hand, hand}})
	s, err := br.Open(&recorder{changed: make(chan struct{}, 1), room: make(chan struct{}, 1)}, Origin{App: "mail"})
	if err != nil {
		b.Fatal(err)
	}
	n := note(deviceToken(goodDevice, 1), 1, `{"aps":{"alert":"You have a new message","badge":3,"sound":"default"}}`)
	n.Expiry, n.HasExpiry = uint32(time.Now().Unix()+3600), true
	b.ReportAllocs()
	for b.Loop() {
		s.Push(n)
		r := hand.sent[0]
		hand.sent = hand.sent[:0]
		r.begin()
		a.answered(r, verdict{class: accepted})
	}
}
