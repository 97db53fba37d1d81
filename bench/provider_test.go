package bench

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway/provider"
)

// providers is many providers in one process, with the same certificate. They do not
// read, because the gateway has nothing to say to them.
type providers struct {
	target string
	tls    *tls.Config
	conns  []*provider.Conn
	sent   int

	flooding sync.WaitGroup
	written  atomic.Int64 // while flooding
}

func startProvider(s setting) (part, string, error) {
	_, roots, err := serverIdentity(s.PKI)
	if err != nil {
		return nil, "", err
	}
	p := &providers{target: s.Target, tls: &tls.Config{
		RootCAs: roots,
		// No old library knows the post-quantum key exchange, with which the hello is
		// three times as long and stays in crypto/tls's buffers.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
	}}
	if !s.Anonymous {
		certificate, err := tls.LoadX509KeyPair(filepath.Join(s.PKI, "client.pem"), filepath.Join(s.PKI, "client-key.pem"))
		if err != nil {
			return nil, "", err
		}
		p.tls.Certificates = []tls.Certificate{certificate}
	}
	return p, "", nil
}

// do knows the orders "dial", for Count more connections; "send", for Count
// notifications as fast as they are taken; "pace", for Count of them at a rate;
// "mood", for Count of them in a mood, at Rate if there is one; "flood", which writes as many as are taken
// until the end; and "written", for how many these are.
func (p *providers) do(o order) (answer, error) {
	switch o.Do {
	case "dial":
		return answer{}, p.dial(o.Count)
	case "send":
		return answer{}, p.send(o.Count)
	case "pace":
		return answer{}, p.pace(o.Count, o.Rate)
	case "mood":
		return answer{}, p.inMood(o)
	case "flood":
		p.flood()
		return answer{}, nil
	case "written":
		return answer{Written: int(p.written.Load())}, nil
	}
	return answer{}, errOrder(o)
}

func (p *providers) close() {
	for _, c := range p.conns {
		c.TCP.SetLinger(0) // or Close might wait for a flood that is blocked
		c.TCP.Close()
	}
	p.flooding.Wait()
}

// dial opens count connections, 16 at a time.
func (p *providers) dial(count int) error {
	first := len(p.conns)
	p.conns = append(p.conns, make([]*provider.Conn, count)...)
	rest := p.conns[first:]
	errs := make(chan error, 16)
	for w := range cap(errs) {
		go func() {
			var err error
			for i := w; i < count && err == nil; i += cap(errs) {
				rest[i], err = provider.Dial(context.Background(), p.target, p.tls)
			}
			errs <- err
		}()
	}
	var failed error
	for range cap(errs) {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return failed
}

// batch is how many notifications a provider writes at once: about a TLS record.
const batch = 64

// send writes count notifications, on all connections at the same time, each its part.
func (p *providers) send(count int) error {
	errs := make(chan error, len(p.conns))
	from := p.sent
	p.sent += count
	for i, c := range p.conns {
		first, end := from+count*i/len(p.conns), from+count*(i+1)/len(p.conns)
		go func() { errs <- write(c, first, end, number) }()
	}
	var failed error
	for range p.conns {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return failed
}

// inMood writes notifications on all connections, in parts; at a rate, the connections take
// turns, for all at once would be bursts and not a rate.
func (p *providers) inMood(o order) error {
	errs := make(chan error, len(p.conns))
	from := p.sent
	p.sent += o.Count
	moody := func(n *binproto.Notification, i uint32) {
		if number(n, i); o.One {
			number(n, uint32(from)) // sets the device
			n.Identifier = i
		}
		// So that providers in other processes have other devices.
		copy(n.Token[16:], o.Mood)
		copy(n.Payload[stampAt:], fmt.Sprintf("%-4s%015d", o.Mood, i))
	}
	for i, c := range p.conns {
		first, end := from+o.Count*i/len(p.conns), from+o.Count*(i+1)/len(p.conns)
		go func() {
			if o.Rate == 0 {
				errs <- write(c, first, end, moody)
				return
			}
			var err error
			each := time.Second * time.Duration(len(p.conns)) / time.Duration(o.Rate)
			turn := batch * each * time.Duration(i) / time.Duration(len(p.conns))
			began := time.Now().Add(turn)
			for at := first; at < end && err == nil; at += batch {
				time.Sleep(time.Until(began.Add(time.Duration(at-first) * each)))
				err = write(c, at, min(at+batch, end), moody)
			}
			errs <- err
		}()
	}
	var failed error
	for range p.conns {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return failed
}

// flood makes each connection write until it ends.
func (p *providers) flood() {
	for i, c := range p.conns {
		c.TCP.SetWriteBuffer(64 << 10) // small, since it would normally be another machine's memory
		p.flooding.Go(func() {
			for n := i; write(c, n*batch, (n+1)*batch, number) == nil; n += len(p.conns) {
				p.written.Add(batch)
			}
		})
	}
}

// paceTick is how often a paced provider writes. A notification that is written more
// than late after it was due is timed from when it was due, because the gateway did
// not take the ones before it in time.
const (
	paceTick = time.Millisecond
	late     = 3 * paceTick
)

// pace writes count notifications, rate a second, on all connections in turn, with
// the time in each.
func (p *providers) pace(count, rate int) error {
	tick := time.NewTicker(paceTick)
	defer tick.Stop()
	interval := time.Second / time.Duration(rate)
	first, start := p.sent, time.Now()
	p.sent += count
	stamped := func(n *binproto.Notification, i uint32) {
		number(n, i)
		now := time.Now()
		if due := start.Add(time.Duration(int(i)-first) * interval); now.Sub(due) > late {
			now = due
		}
		copy(n.Payload[stampAt:], strconv.FormatInt(now.UnixNano(), 10))
	}
	for sent := 0; sent < count; <-tick.C {
		turn, due := sent, min(int(time.Since(start)/interval), count)-sent
		for i := range min(due, len(p.conns)) {
			c := p.conns[(first+turn+i)%len(p.conns)]
			share := (due - i + len(p.conns) - 1) / len(p.conns)
			if err := write(c, first+sent, first+sent+share, stamped); err != nil {
				return err
			}
			sent += share
		}
	}
	return nil
}

// write writes the notifications from number first up to end, a batch at a time.
func write(c *provider.Conn, first, end int, finish func(*binproto.Notification, uint32)) error {
	n := sample()
	buf := make([]byte, 0, batch*frameSize)
	for i := first; i < end; i++ {
		finish(n, uint32(i))
		buf = n.Append(buf)
		if len(buf)+frameSize > cap(buf) || i == end-1 {
			if _, err := c.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return nil
}

// The time is at the beginning of the alert's text, in nanoseconds since 1970 with 19
// digits. A sample has no time.
const (
	stampAt   = len(`{"aps":{"alert":"`)
	stampSize = 19
)

// sample returns an enhanced notification whose frame has 250 bytes.
func sample() *binproto.Notification {
	n := notification(binproto.Enhanced)
	n.Expiry = uint32(time.Now().Add(time.Hour).Unix())
	return n
}

// number makes n the notification with number i, for a device of its own. All tokens
// begin alike, because the simulator refuses some beginnings.
func number(n *binproto.Notification, i uint32) {
	n.Identifier = i
	binary.BigEndian.PutUint64(n.Token[8:], uint64(i)*0x9e3779b97f4a7c15)
}
