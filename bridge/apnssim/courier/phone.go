package courier

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// maxArrived bounds the bytes of a message from the courier: a payload of 5 KiB
// in base64 and what stands around it.
const maxArrived = 64 << 10

// unread is how many notifications a Phone takes before its owner reads them.
// Then it stops reading, and APNs keeps the last of each app.
const unread = 16

// A Phone is a device with its connection to the courier. It is safe for
// concurrent use.
type Phone struct {
	conn     *websocket.Conn
	arrived  chan *Notification
	ended    chan struct{} // closed when the connection has ended
	stop     context.CancelFunc
	problem  error // valid once ended is closed
	mu       sync.Mutex
	awaiting []chan *Token // who waits for an answer, in order
}

// Connect brings a device online at the courier at address, host:port. What it
// has installed keeps its tokens, everything else that it had is uninstalled.
func Connect(ctx context.Context, address string, config *tls.Config, device string, installed []App) (*Phone, error) {
	if installed == nil {
		installed = []App{}
	}
	return greet(ctx, address, config, Hello{Device: device, Installed: installed})
}

// Return is Connect for a device that has the apps that it had, whichever these are.
func Return(ctx context.Context, address string, config *tls.Config, device string) (*Phone, error) {
	return greet(ctx, address, config, Hello{Device: device})
}

func greet(ctx context.Context, address string, config *tls.Config, hello Hello) (*Phone, error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	conn, _, err := websocket.Dial(ctx, "wss://"+address+"/", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		if within := (*url.Error)(nil); errors.As(err, &within) {
			err = within.Err // without the words of the libraries around it
		}
		return nil, fmt.Errorf("courier: %s cannot be reached: %w", address, err)
	}
	conn.SetReadLimit(maxArrived)
	if err := wsjson.Write(ctx, conn, Message{Hello: &hello}); err != nil {
		conn.CloseNow()
		return nil, fmt.Errorf("courier: %s: %w", address, err)
	}
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &Phone{conn: conn, arrived: make(chan *Notification, unread), ended: make(chan struct{}), stop: stop}
	go p.read(reading)
	return p, nil
}

func (p *Phone) read(ctx context.Context) {
	defer close(p.ended)
	for {
		var m Message
		if err := wsjson.Read(ctx, p.conn, &m); err != nil {
			p.problem = errors.New("courier: the connection has ended")
			return
		}
		switch {
		case m.Trouble != "":
			p.problem = fmt.Errorf("courier: %s", m.Trouble)
			return
		case m.Token != nil || m.Done:
			p.mu.Lock()
			if len(p.awaiting) > 0 {
				p.awaiting[0] <- m.Token
				p.awaiting = p.awaiting[1:]
			}
			p.mu.Unlock()
		case m.Notification != nil:
			select {
			case p.arrived <- m.Notification:
			case <-ctx.Done():
				p.problem = errors.New("courier: the phone was closed")
				return
			}
		}
	}
}

// Register installs an app, if it is not, and returns its device token.
func (p *Phone) Register(ctx context.Context, app App) ([]byte, error) {
	token, err := p.ask(ctx, Message{Register: &app})
	if err != nil {
		return nil, err
	}
	if token == nil || token.App != app {
		return nil, errors.New("courier: the answer is no token for the app")
	}
	return hex.DecodeString(token.Token)
}

// Uninstall removes an app: when it returns, a push to its token is answered with
// 410.
func (p *Phone) Uninstall(ctx context.Context, app App) error {
	_, err := p.ask(ctx, Message{Uninstall: &app})
	return err
}

// Erase removes all apps; those installed again get other tokens.
func (p *Phone) Erase(ctx context.Context) error {
	_, err := p.ask(ctx, Message{Erase: true})
	return err
}

// ask waits for the answer, which is nil if it is no token.
func (p *Phone) ask(ctx context.Context, m Message) (*Token, error) {
	answer := make(chan *Token, 1)
	p.mu.Lock()
	p.awaiting = append(p.awaiting, answer)
	err := wsjson.Write(ctx, p.conn, m)
	p.mu.Unlock()
	if err != nil {
		return nil, p.because(err)
	}
	select {
	case token := <-answer:
		return token, nil
	case <-p.ended:
		return nil, p.problem
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// because prefers what the courier said to what the socket did.
func (p *Phone) because(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-p.ended:
		return p.problem
	default:
		return fmt.Errorf("courier: %w", err)
	}
}

// Next waits for a notification, and lets APNs forget it. The caller owns it.
func (p *Phone) Next(ctx context.Context) (*Notification, error) {
	select {
	case n := <-p.arrived:
		// If this fails the notification comes once more, with the next connection.
		_ = wsjson.Write(ctx, p.conn, Message{Received: n.Seq})
		return n, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.ended:
	}
	select {
	case n := <-p.arrived: // it came before the end
		return n, nil
	default:
		return nil, p.problem
	}
}

// Close takes the device offline. Its apps stay installed.
func (p *Phone) Close() error {
	err := p.conn.Close(websocket.StatusNormalClosure, "")
	p.stop()
	<-p.ended
	if errors.Is(err, context.Canceled) || websocket.CloseStatus(err) != -1 {
		return nil
	}
	return err
}
