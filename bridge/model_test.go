package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/binproto"
	"apnsbridge/bridge/upstream"
)

// handUpstream is an upstream that answers when the test says so.
type handUpstream struct{ sent []*notification }

func (u *handUpstream) Send(p *upstream.Push) { u.sent = append(u.sent, p.Owner.(*notification)) }
func (u *handUpstream) Renew(string)          {}
func (u *handUpstream) Retire()               {}
func (u *handUpstream) Close()                {}

// handWays leads an app with one credential to production and sandbox.
func handWays(conf App, production, sandbox carrier) [2][]*way {
	only := func(c carrier) []*way { return []*way{{carrier: c, credential: conf.Credentials[0], only: true}} }
	return [2][]*way{only(production), only(sandbox)}
}

// modelNote is a notification as the naive model sees it.
type modelNote struct {
	id       uint32
	hasID    bool
	device   byte
	owed     binproto.Status // what its provider is to be told when it is the head
	badToken bool            // that is about a bad token
	tail     bool            // behind the packet: its provider would send it again
	done     bool            // settled
	waits    bool            // for the feedback list to settle
}

// sessionModel is one connection in the plainest way: a list of all notifications, from
// which everything is worked out anew at each step. Its provider never sends anything
// again.
type sessionModel struct {
	notes    []*modelNote
	head     int
	fails    []binproto.Response
	closes   int
	ending   bool
	gone     bool
	feedback []byte // devices that go on the list, or off it

	bad map[byte]bool // devices whose token APNs has refused: it is not asked again
}

func (m *sessionModel) told() bool { return len(m.fails)+m.closes > 0 }

// refuse gives n a verdict that its provider should know.
func (m *sessionModel) refuse(n *modelNote, status binproto.Status, badToken bool) {
	n.done = true
	switch {
	case n.tail:
	case n.hasID && !m.told() && !m.ending && !m.gone:
		n.owed, n.badToken = status, badToken
	case badToken:
		m.feedback = append(m.feedback, n.device)
	}
}

// advance takes settled notes off the front.
func (m *sessionModel) advance() {
	for m.head < len(m.notes) && m.notes[m.head].done {
		n := m.notes[m.head]
		m.head++
		if n.owed != binproto.NoError {
			m.fails = append(m.fails, binproto.Response{Status: n.owed, Identifier: n.id})
			for _, behind := range m.notes[m.head:] {
				behind.tail, behind.owed = true, binproto.NoError
			}
		}
	}
	if m.head == len(m.notes) && m.ending && !m.told() && !m.gone {
		m.closes++
	}
}

// end is the end of the provider's side, or of the connection: from then on the provider is
// told nothing.
func (m *sessionModel) end() {
	for _, n := range m.notes[m.head:] {
		if n.owed != binproto.NoError && n.badToken {
			m.feedback = append(m.feedback, n.device)
		}
		n.owed = binproto.NoError
	}
	m.advance()
}

// TestSessionAgainstModel drives one session with random histories of pushes,
// rejections, verdicts in any order, and endings.
func TestSessionAgainstModel(t *testing.T) {
	t.Parallel()
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
	b, err := newBridge(Config{Feedback: lists, Limits: Limits{Window: 1 << 20},
		Apps: []App{{Name: "mail", Topic: topic, Credentials: forAll(new(upstream.Credential))}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.cancel()
	a, hand := b.apps["mail"], new(handUpstream)
	a.route.Store(&route{app: a.route.Load().app, ways: handWays(a.route.Load().app, hand, hand), lanes: a.lanes})
	p := &recorder{changed: make(chan struct{}, 1), room: make(chan struct{}, 100)}
	s, err := b.Open(p, Origin{App: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	m := &sessionModel{bad: make(map[byte]bool)}
	places := make(map[*notification]*modelNote)
	// register finds the model's notes for what has come upstream.
	register := func() {
		for _, r := range hand.sent {
			if places[r] == nil {
				for _, n := range m.notes {
					if fmt.Sprint(n.id) == string(r.Payload()) {
						places[r] = n
					}
				}
			}
		}
	}
	identifier := uint32(0)
	newNote := func(t *rapid.T) *modelNote {
		identifier++
		return &modelNote{
			id: identifier, hasID: rapid.IntRange(0, 4).Draw(t, "with id") > 0,
			device: rapid.Byte().Draw(t, "device") % 6, tail: len(m.fails) > 0,
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"push": func(t *rapid.T) {
			if m.gone || m.ending {
				t.Skip("ended")
			}
			n := newNote(t)
			frame := note(deviceToken([]byte{n.device}, int(n.device)), n.id, fmt.Sprint(n.id))
			frame.HasIdentifier = n.hasID
			s.Push(frame)
			m.notes = append(m.notes, n)
			register()
		},
		"reject": func(t *rapid.T) {
			if m.gone || m.ending {
				t.Skip("ended")
			}
			n := newNote(t)
			s.Reject(&binproto.Notification{Identifier: n.id, HasIdentifier: n.hasID}, binproto.InvalidTokenSize)
			m.notes = append(m.notes, n)
			m.refuse(n, binproto.InvalidTokenSize, false)
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
			if begun := r.begin(b.now()); begun == m.bad[n.device] {
				t.Fatalf("device %d: begin says %v, its token is known as bad: %v", n.device, begun, m.bad[n.device])
			} else if !begun {
				m.refuse(n, binproto.InvalidToken, true)
				m.advance()
				delete(places, r)
				register()
				return
			}
			v := upstream.Verdict{Class: rapid.SampledFrom([]upstream.Class{upstream.Accepted, upstream.Accepted,
				upstream.Accepted, upstream.BadToken, upstream.Refused, upstream.Gone}).Draw(t, "class")}
			switch v.Class {
			case upstream.BadToken:
				v.Status = binproto.InvalidToken
				m.bad[n.device] = true
				m.refuse(n, v.Status, true)
			case upstream.Refused:
				v.Status = binproto.InvalidPayloadSize
				m.refuse(n, v.Status, false)
			case upstream.Gone:
				n.waits = true
			case upstream.Accepted:
				// A device on the list has to leave it first.
				n.waits = lists.Listed("mail", r.Token())
				n.done = !n.waits
			}
			if n.waits {
				m.feedback = append(m.feedback, n.device)
			}
			m.advance()
			delete(places, r)
			r.answered(v, b.now())
			register()
		},
		"store": func(t *rapid.T) {
			b.feedback.Flush(b.ctx)
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
			m.end()
			s.Shutdown(false)
		},
		"close": func(t *rapid.T) {
			if m.gone {
				t.Skip("gone")
			}
			m.gone = true
			m.end()
			s.Close(nil)
		},
		"": func(t *rapid.T) {
			fails, closes := p.told()
			if !slices.Equal(fails, m.fails) || closes != m.closes {
				t.Fatalf("told %v, closed %d; want %v, %d", fails, closes, m.fails, m.closes)
			}
			if got, want := s.talk.Len(), len(m.notes)-m.head; got != want {
				t.Fatalf("%d in the window, want %d", got, want)
			}
			st := b.Stats().Apps["mail"]
			if got := int(st.Feedback+st.Revived) + b.feedback.Len(); got != len(m.feedback) {
				t.Fatalf("%d for the feedback list, want %d", got, len(m.feedback))
			}
			devices := make(map[string]bool)
			for _, r := range hand.sent {
				if devices[string(r.Token())] {
					t.Fatalf("two notifications for device %x are upstream", r.Token())
				}
				devices[string(r.Token())] = true
			}
		},
	})
	// Whatever the history, all ends: with everything answered and stored
	// nothing is left.
	for len(hand.sent) > 0 {
		r := hand.sent[0]
		hand.sent = hand.sent[1:]
		if r.begin(b.now()) {
			r.answered(upstream.Verdict{Class: upstream.Accepted}, b.now())
		}
	}
	if !m.gone {
		s.Close(nil)
	}
	b.feedback.Flush(b.ctx)
	if left := b.unsettled.Load(); left != 0 || b.budget.Used() != 0 {
		t.Fatalf("%d notifications and %d bytes are left", left, b.budget.Used())
	}
}

// BenchmarkSession is what a notification costs from Push to its verdict, without the wire.
func BenchmarkSession(b *testing.B) {
	br, err := newBridge(Config{Feedback: new(list),
		Apps: []App{{Name: "mail", Topic: topic, Credentials: forAll(new(upstream.Credential))}}})
	if err != nil {
		b.Fatal(err)
	}
	defer br.cancel()
	a, hand := br.apps["mail"], new(handUpstream)
	a.route.Store(&route{app: a.route.Load().app, ways: handWays(a.route.Load().app, hand, hand), lanes: a.lanes})
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
		r.begin(br.now())
		r.answered(upstream.Verdict{Class: upstream.Accepted}, br.now())
	}
}
