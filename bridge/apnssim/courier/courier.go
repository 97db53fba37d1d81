package courier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"apnsbridge/bridge/apnssim"
)

// The bounds of a device's connection.
const (
	maxMessage  = 16 << 10 // bytes of a message from a device
	maxUnsent   = 16       // messages to a device that has stopped reading; then it counts as offline
	maxSessions = 1_000    // connections at once
	pingEvery   = 30 * time.Second
	writeWithin = 10 * time.Second
)

// A Courier is an http.Handler, to be served over TLS. It is safe for concurrent
// use.
type Courier struct {
	apns     *apnssim.Simulator
	now      func() time.Time
	mu       sync.Mutex // directory and sessions
	phones   *directory
	sessions map[string]*session // by the device's name
	closed   bool
	running  sync.WaitGroup
}

// New makes the devices' side of a simulator. Only one may be made for each. The
// clock is the wall's, against which notifications expire; nil is time.Now.
func New(apns *apnssim.Simulator, now func() time.Time) *Courier {
	if now == nil {
		now = time.Now
	}
	c := &Courier{apns: apns, now: now, phones: newDirectory(), sessions: make(map[string]*session)}
	apns.OnAccepted(c.deliver)
	return c
}

// deliver takes a push that APNs has accepted. It does not block.
func (c *Courier) deliver(p apnssim.Push) {
	n := &Notification{Token: strings.ToLower(p.Token), APNSID: p.APNSID, PushType: p.PushType, Priority: p.Priority,
		Expiration: p.Expiration, Payload: p.Payload}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.sessions[c.phones.take(n)]; s != nil {
		s.say(Message{Notification: n})
	}
}

// Close ends the connections of all devices and waits for them.
func (c *Courier) Close() {
	c.mu.Lock()
	c.closed = true
	for _, s := range c.sessions {
		s.end()
	}
	c.mu.Unlock()
	c.running.Wait()
}

// ServeHTTP speaks with one device, until either side ends the connection.
func (c *Courier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	ctx, end := context.WithCancel(r.Context())
	defer end()
	s := &session{conn: conn, end: end, out: make(chan Message, maxUnsent)}
	if err := c.begin(ctx, s); err != nil {
		s.write(ctx, Message{Trouble: err.Error()})
		return
	}
	defer c.running.Done()
	written := make(chan struct{})
	go func() {
		defer close(written)
		defer end()
		s.writeAll(ctx)
	}()
	err = c.listen(ctx, s)
	c.leave(s)
	if err != nil {
		s.answer(ctx, Message{Trouble: err.Error()})
	}
	close(s.out)
	<-written
}

// begin waits for the device's first word.
func (c *Courier) begin(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	m, err := s.read(ctx)
	if err != nil || m.Hello == nil {
		return errors.New(`the first message names the device: {"hello": {"device": "…", "installed": []}}`)
	}
	s.device = m.Hello.Device
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return errors.New("the courier is being closed")
	case len(c.sessions) == maxSessions && c.sessions[s.device] == nil:
		return fmt.Errorf("%d devices are connected already", maxSessions)
	}
	gone, err := c.phones.connect(*m.Hello)
	if err != nil {
		return err
	}
	c.revoke(gone)
	if before := c.sessions[s.device]; before != nil {
		before.end() // the device has lost that connection, which we may not know yet
	}
	c.sessions[s.device] = s
	c.running.Add(1) // ServeHTTP takes it back
	for _, n := range c.phones.waiting(s.device, c.now()) {
		s.say(Message{Notification: n})
	}
	return nil
}

// leave makes a device offline. Nothing is said to the session by others any
// more.
func (c *Courier) leave(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[s.device] == s {
		delete(c.sessions, s.device)
	}
}

// listen carries out what the device says, until it ends the connection or makes
// a mistake, which is the error.
func (c *Courier) listen(ctx context.Context, s *session) error {
	for {
		m, err := s.read(ctx)
		if errors.Is(err, errNoMessage) {
			return err
		}
		if err != nil {
			return nil
		}
		answer, err := c.obey(s.device, m)
		if err != nil {
			return err
		}
		if answer.Token != nil || answer.Done {
			s.answer(ctx, answer)
		}
	}
}

// obey returns the answer, which not every message has.
func (c *Courier) obey(device string, m Message) (answer Message, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case m.Register != nil:
		answer.Token, err = c.register(device, *m.Register)
	case m.Uninstall != nil:
		c.revoke(c.phones.uninstall(device, *m.Uninstall))
		answer.Done = true
	case m.Erase:
		c.revoke(c.phones.erase(device))
		answer.Done = true
	case m.Received > 0:
		c.phones.received(device, m.Received)
	default:
		err = errors.New("a message has one of register, uninstall, erase and received")
	}
	return answer, err
}

// register gives an app its token, of which APNs then knows. The caller holds
// c.mu.
func (c *Courier) register(device string, app App) (*Token, error) {
	text, fresh, err := c.phones.register(device, app)
	if err != nil {
		return nil, err
	}
	token := &Token{App: app, Token: text}
	if fresh {
		err = c.apns.SetDevice(asDevice(*token, apnssim.Active))
	}
	return token, err
}

// revoke tells APNs of tokens that are no more. The caller holds c.mu.
func (c *Courier) revoke(gone []Token) {
	for _, t := range gone {
		// It was set before: nothing can be wrong with it.
		_ = c.apns.SetDevice(asDevice(t, apnssim.Uninstalled))
	}
}

// asDevice is the token as the simulator knows it. A 410 bears the time of the push:
// Since has whole seconds, which may lie before the last notification that the app
// has got.
func asDevice(t Token, state string) apnssim.Device {
	return apnssim.Device{Token: t.Token, Topic: t.Bundle, Environment: t.Environment, State: state}
}

// session is a connection of a device.
type session struct {
	device string
	conn   *websocket.Conn
	end    context.CancelFunc
	out    chan Message // closed when all has been said
}

// say sends m, or ends a connection whose device does not read: what was not
// acknowledged is kept. The caller holds the courier's lock, or has left it.
func (s *session) say(m Message) {
	select {
	case s.out <- m:
	default:
		s.end()
	}
}

// answer sends m once there is room: a device that asks and does not read waits
// for itself. Only its own goroutine may call it.
func (s *session) answer(ctx context.Context, m Message) {
	select {
	case s.out <- m:
	case <-ctx.Done():
	}
}

// writeAll writes until all has been said, or the device does not answer.
func (s *session) writeAll(ctx context.Context) {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		var err error
		select {
		case m, ok := <-s.out:
			if !ok {
				s.conn.Close(websocket.StatusNormalClosure, "")
				return
			}
			err = s.write(ctx, m)
		case <-ping.C:
			within, cancel := context.WithTimeout(ctx, writeWithin)
			err = s.conn.Ping(within)
			cancel()
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

var errNoMessage = errors.New("that is not a message in JSON")

func (s *session) read(ctx context.Context) (m Message, err error) {
	_, text, err := s.conn.Read(ctx)
	if err == nil && json.Unmarshal(text, &m) != nil {
		err = errNoMessage
	}
	return m, err
}

func (s *session) write(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	return wsjson.Write(ctx, s.conn, m)
}
