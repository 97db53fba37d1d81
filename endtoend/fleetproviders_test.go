//go:build unix

package endtoend

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/provider"
)

// A sender is a provider of a fleet, as settle sees it.
type sender interface {
	sent() (numbers []int)
	told(number int) bool // of its failure, by a packet
	resends() bool        // sends again what stands behind a packet
}

func (p *resender) sent() (numbers []int) {
	for n := range p.report.Taken {
		numbers = append(numbers, p.base+n)
	}
	return numbers
}

func (p *resender) told(number int) bool { return p.named[number-p.base] }

func (*resender) resends() bool { return true }
func (*stubborn) resends() bool { return false }
func (*leaver) resends() bool   { return false }

// stubborn is a provider that sends nothing again: after a packet it goes on with what it
// has not written yet.
type stubborn struct {
	base, next  int
	connections int
	named       map[int]bool
}

func (p *stubborn) sent() (numbers []int) {
	for n := range p.next {
		numbers = append(numbers, p.base+n)
	}
	return numbers
}

func (p *stubborn) told(number int) bool { return p.named[number-p.base] }

// send sends count notifications at the given rate.
func (p *stubborn) send(ctx context.Context, w *world, count, rate int) error {
	p.named = make(map[int]bool)
	for p.next < count {
		if err := p.talk(ctx, w, count, rate); err != nil {
			return err
		}
	}
	return nil
}

func (p *stubborn) talk(ctx context.Context, w *world, count, rate int) error {
	const together = 20
	conn, err := provider.Dial(ctx, w.Push, w.ClientTLS())
	if err != nil {
		return err
	}
	defer conn.Close()
	p.connections++
	var over atomic.Bool
	read := make(chan struct{})
	go func() {
		defer close(read)
		answer, err := conn.ReadResponse()
		if err == nil {
			p.named[int(answer.Identifier)] = true
		}
		over.Store(true)
	}()
	var frames []byte
	for began := time.Now(); p.next < count && !over.Load(); {
		frames = frames[:0]
		for range together {
			n := mixed(p.base + p.next)
			frames = n.Append(frames)
			p.next++
		}
		if _, err := conn.Write(frames); err != nil {
			return fmt.Errorf("behind %d: %w", p.next, err)
		}
		<-time.After(time.Until(began.Add(time.Second * together / time.Duration(rate))))
		began = began.Add(time.Second * together / time.Duration(rate))
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	<-read
	return nil
}

// leaver is a provider that writes its list and goes, whatever it is told.
type leaver struct{ base, count int }

func (p *leaver) sent() (numbers []int) {
	for n := range p.count {
		numbers = append(numbers, p.base+n)
	}
	return numbers
}

func (*leaver) told(int) bool { return false }

func (p *leaver) send(ctx context.Context, w *world) error {
	conn, err := provider.Dial(ctx, w.Push, w.ClientTLS())
	if err != nil {
		return err
	}
	for i := 0; i < p.count; i += 20 {
		var frames []byte
		for k := range 20 {
			n := mixed(p.base + i + k)
			frames = n.Append(frames)
		}
		if _, err := conn.Write(frames); err != nil {
			return err
		}
	}
	return conn.Close()
}

// settle waits until everything that was sent has ended: each good notification was accepted,
// and each other one was named by a packet or is on the feedback list. It checks that each
// good one was accepted only once.
func (n *nodes) settle(t *testing.T, from *world, all ...sender) {
	t.Helper()
	listed := make(map[string]bool)
	var lost, untold, doubled []int
	good, again := 0, 0
	for deadline := time.Now().Add(servertest.Patience); ; {
		arrivals := from.arrivals(t)
		for token := range from.listed(t) {
			listed[token] = true
		}
		lost, untold, doubled, good, again = nil, nil, nil, 0, 0
		for _, p := range all {
			for _, number := range p.sent() {
				arrives := fateOf(number%ofProvider) == toArrive
				if len(arrivals[number]) > 1 {
					doubled = append(doubled, number)
				}
				switch token := mixed(number).Token; {
				case arrives && len(arrivals[number]) == 0:
					lost = append(lost, number)
				case arrives:
					good++
				case !p.told(number) && !listed[string(token)] && p.resends(): // others' are listed in two minutes
					untold = append(untold, number)
				case p.told(number) && listed[string(token)]:
					again++
				}
				if p.told(number) && arrives {
					t.Errorf("number %d is good, and a packet says that it is not", number)
				}
			}
		}
		if len(lost)+len(untold) == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(100 * time.Millisecond) // between two checks of a condition
	}
	if len(lost)+len(doubled)+len(untold) > 0 {
		t.Errorf("%d lost (%v), %d doubled (%v), %d bad ones without a word (%v)", len(lost), some(lost), len(doubled),
			some(doubled), len(untold), some(untold))
	}
	t.Logf("%d good ones were accepted once; of the others %d were told of twice", good, again)
}

// another is w as seen by a provider that has a certificate of its own.
func (w *world) another(t *testing.T) *world { return w.of(t, story.Topic) }

// clientOf is w as seen by a provider of an app that serve has added.
func (w *world) clientOf(t *testing.T, app string) *world { return w.of(t, "com.example."+app) }

// of is w as seen by a provider with a certificate for topic.
func (w *world) of(t *testing.T, topic string) *world {
	t.Helper()
	pair, err := servertest.PKI().Issue(devpki.ClientOptions{Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return &world{World: &servertest.World{T: w.T, Dir: w.Dir, Sim: w.Sim, Push: w.Push, Feedback: w.Feedback,
		Client: &certificate}}
}

func some(numbers []int) []int { return numbers[:min(len(numbers), 10)] }

// steady starts four providers that send again what stands behind a packet, each at some 250 a
// second. They connect to the nodes via by turns, until end. of has the same providers, as
// settle takes them.
func steady(t *testing.T, via ...*world) (all []*resender, of []sender, end func()) {
	return load(t, 4, paced(4*time.Millisecond), via...)
}

// paced makes a provider go on sending, with a pause between two notifications.
func paced(pause time.Duration) func(int) bool {
	return func(int) bool {
		<-time.After(pause)
		return true
	}
}

// load starts count providers that send again what stands behind a packet, as long as more
// lets them. They connect to the nodes via by turns, until end.
func load(t *testing.T, count int, more func(taken int) bool, via ...*world) (all []*resender, of []sender, end func()) {
	ends, sent := make(chan struct{}), make(chan error, count)
	for i := range count {
		p := &resender{base: (i + 1) * ofProvider}
		all, of = append(all, p), append(of, p)
		go func() {
			sent <- p.send(t.Context(), via[i%len(via)], func(taken int) bool {
				select {
				case <-ends:
					return false
				default:
					return more(taken)
				}
			})
		}()
	}
	return all, of, func() {
		t.Helper()
		close(ends)
		for range cap(sent) {
			if err := <-sent; err != nil {
				t.Error(err)
			}
		}
	}
}

// balance puts a haproxy in front of the nodes, and gives a world that stands for all of them.
func (n *nodes) balance(t *testing.T, how string) *world {
	t.Helper()
	path := servertest.Foreign(t, "haproxy")
	front := &world{World: &servertest.World{T: t, Dir: n.all[0].Dir, Sim: n.sim}}
	config := strings.Builder{}
	config.WriteString(`defaults
  mode tcp
  timeout connect 1s
  timeout client 24h
  timeout server 24h
  timeout check 5s
  retries 3
  option redispatch
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
  balance ` + how + "\n")
	var files []*os.File
	for i, port := range []*string{&front.Push, &front.Feedback} {
		f, address := servertest.HeldPort(t)
		files, *port = append(files, f), address
		fmt.Fprintf(&config, "listen port%d\n  bind fd@%d\n", i, 3+i)
		for k, w := range n.all {
			address := []string{w.Push, w.Feedback}[i]
			fmt.Fprintf(&config, "  server gw%d %s check addr 127.0.0.1 port %s inter 100ms fall 1 rise 1\n", k+1, address,
				w.Admin[strings.LastIndex(w.Admin, ":")+1:])
		}
	}
	written := front.Write(fmt.Sprintf("haproxy%d.cfg", schemas.Add(1)), []byte(config.String()))
	cmd := exec.Command(path, "-db", "-q", "-f", written)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, files
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return front
}
