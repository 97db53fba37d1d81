package gateway_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway"
)

// stuck is a session that blocks its event loop, which no session may.
type stuck struct{ pushed, release chan struct{} }

func (s stuck) Push(*binproto.Notification) bool {
	close(s.pushed)
	<-s.release
	return true
}
func (stuck) Reject(*binproto.Notification, binproto.Status) bool { return true }
func (stuck) ReadOn()                                             {}
func (stuck) Shutdown(bool)                                       {}
func (stuck) Close(error)                                         {}

func TestAlive(t *testing.T) {
	t.Parallel()
	session := stuck{make(chan struct{}), make(chan struct{})}
	opened := make(chan *gateway.Conn, 1)
	s := serve(t, func(c *gateway.Conn) (gateway.Session, binproto.Parser) {
		opened <- c
		return session, binproto.DefaultParser()
	}, nil)
	ask := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return s.Alive(ctx)
	}
	if err := ask(patience); err != nil {
		t.Errorf("no connection yet: %v", err)
	}
	conn := dial(t, s, tls.VersionTLS12)
	eventually(t, "the connection is on its loop", (<-opened).OnLoop)
	note := binproto.Notification{Command: binproto.Simple, Token: make([]byte, 32), Payload: []byte("{}")}
	write(t, conn, note.Append(nil))
	<-session.pushed
	if err := ask(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(),
		"1 of 1 event loops do not answer: context deadline exceeded") {
		t.Errorf("with a loop that is blocked: got %v", err)
	}
	close(session.release)
	if err := ask(patience); err != nil {
		t.Errorf("the loop goes on: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ask(patience); err != nil {
		t.Errorf("closed: %v", err)
	}
}
