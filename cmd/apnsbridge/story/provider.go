package story

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway/provider"
)

// server is the provider: a program of 2010 with a table of its users' device
// tokens and one connection to what it takes for Apple. Its fields are the
// stage's, but for the connection.
type server struct {
	stage *Stage
	users []User
	next  uint32 // identifier
	sent  []Sent // the latest

	writing sync.Mutex // one Send at a time; conn, unproven
	conn    *provider.Conn
	// unproven are the frames of conn, which an error packet can name.
	unproven []binproto.Notification
}

// User is a line of the provider's table.
type User struct {
	Name  string
	Token []byte
}

// Sent is a frame that the provider has written.
type Sent struct {
	Note     binproto.Notification
	Frame    []byte
	Fields   []Field
	Resent   bool
	Response string // the packet that named it
}

// Name is the frame's command and its identifier, if it has one.
func (s Sent) Name() string { return nameOf(s.Note) }

func nameOf(n binproto.Notification) string {
	name := commandNames[uint32(n.Command)] + " frame"
	if n.Command != binproto.Simple {
		name += fmt.Sprintf(" %d", n.Identifier)
	}
	return name
}

// know puts a token into the table in place of the user's old one. The caller holds
// the stage's lock.
func (p *server) know(name string, token []byte) {
	p.users = slices.DeleteFunc(p.users, func(u User) bool { return u.Name == name })
	p.users = append(p.users, User{name, token})
	p.stage.touch()
}

// forget removes a token from the table.
func (p *server) forget(token []byte) (name string) {
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	at := slices.IndexFunc(p.users, func(u User) bool { return bytes.Equal(u.Token, token) })
	if at < 0 {
		return ""
	}
	name = p.users[at].Name
	p.users = slices.Delete(p.users, at, at+1)
	p.stage.touch()
	return name
}

// Token returns the token that the provider has for a user.
func (s *Stage) Token(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.provider.users {
		if u.Name == name {
			return u.Token, nil
		}
	}
	return nil, fmt.Errorf("the provider has no token for %s", name)
}

// Send has the provider write notifications in one go. It gives them identifiers
// where their frames have room for one.
func (s *Stage) Send(ctx context.Context, notes ...binproto.Notification) error {
	s.begin()
	s.mu.Lock()
	for i := range notes {
		if n := &notes[i]; n.Command != binproto.Simple {
			s.provider.next++
			n.Identifier, n.HasIdentifier = s.provider.next, n.Command == binproto.Framed
		}
	}
	s.mu.Unlock()
	return s.provider.write(ctx, notes, false)
}

func (p *server) write(ctx context.Context, notes []binproto.Notification, again bool) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	if err := p.connect(ctx); err != nil {
		return err
	}
	var all []byte
	for _, n := range notes {
		all = p.tell(n, all, again)
	}
	p.unproven = keepLast(append(p.unproven, notes...), maxEvents)
	_, err := p.conn.Write(all)
	return err
}

// tell shows a frame, and appends it to b.
func (p *server) tell(n binproto.Notification, b []byte, again bool) []byte {
	start := len(b)
	b = n.Append(b)
	frame := bytes.Clone(b[start:])
	sent := Sent{Note: n, Frame: frame, Fields: fieldsOf(frame, p.stage.now()), Resent: again}
	who, verb := Provider, "writes"
	if again {
		who, verb = Again, "takes for lost, and writes again,"
	}
	text := fmt.Sprintf("%s %s to %.4x…: %s", verb, nameOf(n), n.Token, n.Payload)
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	p.sent = keepLast(append(p.sent, sent), maxShown)
	p.stage.tellLocked(Event{Who: who, Text: text, Fields: sent.Fields})
	return b
}

// connect connects, unless it is. The caller holds p.writing.
func (p *server) connect(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	conn, err := provider.Dial(ctx, p.stage.world.Push, p.stage.world.Provider)
	if err != nil {
		return err
	}
	p.conn, p.unproven = conn, nil
	p.stage.running.Go(func() { p.listen(conn) })
	return nil
}

// listen waits for the error packet, and sends again what stands behind the frame
// that it names.
func (p *server) listen(conn *provider.Conn) {
	response, err := conn.ReadResponse()
	conn.Close()
	p.writing.Lock()
	behind := p.unproven
	if p.conn == conn {
		p.conn, p.unproven = nil, nil
	}
	p.writing.Unlock()
	if err != nil || p.stage.ctx.Err() != nil {
		return
	}
	text := fmt.Sprintf("%x: status %d (%v), identifier %d", response.Append(nil), response.Status, response.Status,
		response.Identifier)
	at := slices.IndexFunc(behind, func(n binproto.Notification) bool { return n.Identifier == response.Identifier })
	p.stage.mu.Lock()
	for i := range p.sent {
		if p.sent[i].Note.Identifier == response.Identifier {
			p.sent[i].Response = text
		}
	}
	p.stage.tellLocked(Event{Who: Gateway, Text: "answers the error packet " + text + ", and ends the connection"})
	p.stage.mu.Unlock()
	if behind = behind[at+1:]; at < 0 || len(behind) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(p.stage.ctx, 30*time.Second)
	defer cancel()
	if err := p.write(ctx, behind, true); err != nil && p.stage.ctx.Err() == nil {
		p.stage.tell(Provider, "cannot send again: %v", err)
	}
}

func (p *server) hangUp() {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.conn != nil {
		p.conn.Close()
	}
}

// ReadFeedback has the provider ask the feedback service, and forget the tokens
// that it is told. It returns how many these were.
func (s *Stage) ReadFeedback(ctx context.Context) (int, error) {
	s.begin()
	tuples, err := s.readFeedback(ctx)
	if err == nil && tuples == 0 {
		s.tell(Feedback, "says nothing: the list is empty")
	}
	return tuples, err
}

func (s *Stage) readFeedback(ctx context.Context) (tuples int, err error) {
	return provider.ReadFeedback(ctx, s.world.Feedback, s.world.Provider, func(t binproto.Tuple) error {
		text := fmt.Sprintf("%x…: %.8x… is gone", t.Append(nil)[:8], t.Token)
		if name := s.provider.forget(t.Token); name != "" {
			text += "; the provider forgets the token of " + name
		}
		s.tell(Feedback, "%s", text)
		return nil
	})
}

// Mistyped is a token that APNs has never given to a device.
func Mistyped() []byte {
	token, err := hex.DecodeString("bad0" + "00000000000000000000000000000000000000000000000000000000" + "0000")
	if err != nil {
		panic(err)
	}
	return token
}
