package bench

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"

	"apnsbridge/binproto"
)

// pushes is how many notifications a gateway made of apns2 has under way at once,
// each in a goroutine. From 64 to 900 there is no visible difference.
const pushes = 256

// pusher is apns2 with its defaults, and counts of what it has done.
type pusher struct {
	client   *apns2.Client
	accepted atomic.Int64
	failed   atomic.Int64
}

func newPusher(s setting) (*pusher, error) {
	_, roots, err := serverIdentity(s.PKI)
	if err != nil {
		return nil, err
	}
	key, err := token.AuthKeyFromFile(filepath.Join(s.PKI, "AuthKey_DEVELOPER.p8"))
	if err != nil {
		return nil, err
	}
	client := apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: keyID, TeamID: teamID})
	client.Host = "https://" + s.Target
	//lint:ignore SA1019 it is what apns2 uses
	client.HTTPClient.Transport.(*http2.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	return &pusher{client: client}, nil
}

func (p *pusher) push(n *binproto.Notification) {
	r, err := p.client.Push(&apns2.Notification{
		DeviceToken: hex.EncodeToString(n.Token), Topic: topic, Payload: n.Payload,
		Expiration: time.Unix(int64(n.Expiry), 0), Priority: apns2.PriorityHigh, PushType: apns2.PushTypeAlert,
	})
	if err != nil || !r.Sent() {
		if p.failed.Add(1) == 1 {
			fmt.Fprintln(os.Stderr, "apns2:", r, err)
		}
		return
	}
	p.accepted.Add(1)
}

// do knows the order "accepted", as the gateway does.
func (p *pusher) do(o order) (answer, error) {
	if o.Do != "accepted" {
		return answer{}, errOrder(o)
	}
	err := await(func() bool { return p.accepted.Load()+p.failed.Load() >= int64(o.Count) })
	if err != nil || p.accepted.Load() != int64(o.Count) {
		return answer{}, fmt.Errorf("want %d accepted: %v, %d accepted, %d failed", o.Count, err, p.accepted.Load(),
			p.failed.Load())
	}
	return answer{Upstream: 1}, nil
}

func (p *pusher) close() { p.client.CloseIdleConnections() }

// pusherPart is apns2 alone, without a provider.
type pusherPart struct {
	*pusher
	sent int
}

func startPusher(s setting) (part, string, error) {
	p, err := newPusher(s)
	return &pusherPart{pusher: p}, "", err
}

// do also knows "push": Count notifications from this process.
func (p *pusherPart) do(o order) (answer, error) {
	if o.Do != "push" {
		return p.pusher.do(o)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range pushes {
		wg.Go(func() {
			n := sample()
			for {
				i := int(next.Add(1)) - 1
				if i >= o.Count {
					return
				}
				number(n, uint32(p.sent+i))
				p.push(n)
			}
		})
	}
	wg.Wait()
	p.sent += o.Count
	return answer{}, nil
}

// listenerPart is the gateway that one would write first: a goroutine for each
// connection reads frames, and apns2 pushes them.
type listenerPart struct {
	*pusher
	listener net.Listener
	running  sync.WaitGroup
	places   chan struct{}
}

func startListener(s setting) (part, string, error) {
	certificate, _, err := serverIdentity(s.PKI)
	if err != nil {
		return nil, "", err
	}
	p, err := newPusher(s)
	if err != nil {
		return nil, "", err
	}
	l := &listenerPart{pusher: p, places: make(chan struct{}, pushes)}
	l.listener, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true,
	})
	if err != nil {
		return nil, "", err
	}
	l.running.Go(func() {
		for {
			c, err := l.listener.Accept()
			if err != nil {
				return
			}
			l.running.Go(func() {
				defer c.Close()
				if err := l.serve(c); err != nil && !errors.Is(err, io.EOF) {
					fmt.Fprintln(os.Stderr, "listener:", err)
				}
			})
		}
	})
	return l, l.listener.Addr().String(), nil
}

// serve reads enhanced frames; no others are measured.
func (l *listenerPart) serve(c net.Conn) error {
	r := bufio.NewReader(c)
	for {
		head, err := r.Peek(11)
		if err != nil {
			return err
		}
		if head[0] != byte(binproto.Enhanced) {
			return fmt.Errorf("command %d", head[0])
		}
		n := &binproto.Notification{Identifier: binary.BigEndian.Uint32(head[1:]), Expiry: binary.BigEndian.Uint32(head[5:])}
		r.Discard(9)
		if n.Token, err = readItem(r); err != nil {
			return err
		}
		if n.Payload, err = readItem(r); err != nil {
			return err
		}
		l.places <- struct{}{}
		go func() {
			l.push(n)
			<-l.places
		}()
	}
}

// readItem reads bytes that are preceded by their length.
func readItem(r *bufio.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	item := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, item)
	return item, err
}

// close is called when the providers have gone, so that all goroutines end.
func (l *listenerPart) close() {
	l.listener.Close()
	l.running.Wait()
	l.pusher.close()
}
