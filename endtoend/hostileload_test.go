package endtoend

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/devpki"
)

const attackers = 20

func (a *assault) dial(i int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(attackerAddress(i))}, Timeout: 10 * time.Second}
	return d.Dial("tcp", a.target)
}

// again does something until the end, with pauses in between.
func (a *assault) again(pause time.Duration, something func()) {
	a.running.Go(func() {
		for {
			something()
			select {
			case <-a.stop:
				return
			case <-time.After(pause):
			}
		}
	})
}

// slowRelay is a path to the gateway from an address, with a round-trip time.
func slowRelay(t *testing.T, to, from string, rtt time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	pipe := func(a, b net.Conn) {
		defer a.Close()
		defer b.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := a.Read(buf)
			time.Sleep(rtt / 2) // one way
			if n > 0 {
				if _, err := b.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
				s, err := d.Dial("tcp", to)
				if err != nil {
					c.Close()
					return
				}
				go pipe(c, s)
				pipe(s, c)
			}()
		}
	}()
	return l.Addr().String()
}

// vmHWM is the most memory that a process has had, in bytes.
func vmHWM(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip(err)
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

func openDescriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

// hostileLoad is how much strangers do, and how often providers connect.
type hostileLoad struct {
	halfOpen, hellos int
	tries, busy      int // connections of each provider: new ones, and those that a busy one keeps
	limits           string
}

// Strangers leave connections half open, send hellos without end and flood the log, and a
// revoked client trickles data, all at the same time. Still every new connection of a busy
// and of a quiet provider gets in within two seconds, from an address of its own or from
// one of the strangers', and memory, log and descriptors stay within their bounds.
func TestHostileLoad(t *testing.T) {
	load := hostileLoad{
		halfOpen: 900, hellos: 1000, tries: 4, busy: 10, limits: "connections: 1000, connections_per_address: 100, drain: 1s",
	}
	if *long {
		load = hostileLoad{halfOpen: 10_000, hellos: 20_000, tries: 25, busy: 50, limits: "drain: 1s"}
	}
	w := newWorld(t, apnssim.Scenario{})
	pin, revoked := w.Pinned()
	const clients = "{ca: ca.pem, uid: com.example.demo}"
	w.Amend("      - "+clients, "      - "+clients+"\n      - "+pin)
	w.Amend("apps:", "limits: {"+load.limits+"}\napps:")
	w.FixPorts()
	p := startProcess(t, w)
	pid := p.cmd.Process.Pid
	p.warmUp(w)
	connected := p.dial(w)
	before := openDescriptors(t, pid)

	a := &assault{t: t, target: p.push, hello: helloBytes(t), stop: make(chan struct{})}
	end := sync.OnceFunc(func() { close(a.stop); a.running.Wait() })
	defer end()
	a.trickle(revoked)
	w.Amend("\n      - "+pin, "")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	a.begin(load)
	established := p.letIn(w, load)
	t.Logf("after %v: %d half open, %d hellos", time.Since(began).Round(time.Second), a.halfOpen.Load(), a.hellos.Load())
	for *long && a.hellos.Load() < int64(load.hellos) {
		time.Sleep(time.Second) // between two checks
	}
	took := time.Since(began)
	end()

	for _, c := range established {
		c.Close()
	}
	servertest.WaitFor(t, "all descriptors are back", func() bool { return openDescriptors(t, pid) <= before })
	memory := vmHWM(t, pid)
	connected.Close()
	p.terminate()
	<-p.ended
	logged := 0
	for _, text := range p.stdlog {
		logged += len(text) + 1
	}
	t.Logf("%v: %d half open, %d hellos, %d floods, %d bytes trickled; %d MiB at most, %d bytes of log",
		took.Round(time.Second), a.halfOpen.Load(), a.hellos.Load(), a.floods.Load(), a.trickled.Load(), memory>>20, logged)
	if !servertest.Raced && memory > 200<<20 {
		t.Errorf("the process had %d MiB, want 200 at most", memory>>20)
	}
	if rate := float64(logged) / max(1, took.Minutes()); rate > 1<<20 {
		t.Errorf("the log has %.0f bytes a minute, want 1 MiB at most", rate)
	}
}

// warmUp gives each event loop the memory that it needs, with connections that last: they are told of an
// error.
func (p *process) warmUp(w *world) {
	for range 4 {
		c := p.dial(w)
		if _, err := c.Write(servertest.Enhanced("", 0)); err != nil {
			p.t.Fatal(err)
		}
		if _, err := c.ReadResponse(); err != nil {
			p.t.Fatal(err)
		}
		c.Close()
	}
}

// trickle connects a client twenty times, which then sends a byte now and then until it is cut off.
func (a *assault) trickle(config *tls.Config) {
	for range 20 {
		c, err := tls.Dial("tcp", a.target, config)
		if err != nil {
			a.t.Fatal(err)
		}
		a.again(0, func() {
			if _, err := c.Write([]byte{1}); err == nil {
				a.trickled.Add(1)
				time.Sleep(100 * time.Millisecond) // a trickle
				return
			}
			c.Close()
			<-a.stop
		})
	}
}

// begin starts everything that strangers do, and waits until all of them are at it.
func (a *assault) begin(load hostileLoad) {
	for i := range load.halfOpen {
		a.again(time.Second, func() { a.leaveHalfOpen(i) })
	}
	const at = 40 // hellos at a time
	for i := range at {
		n := i
		a.again(100*time.Millisecond, func() {
			if a.hellos.Load() < int64(load.hellos) {
				said := n
				a.running.Go(func() { a.sayTooMuch(said) })
				n += at + rand.IntN(attackers)
			}
		})
	}
	wordy := servertest.Issue(a.t, servertest.Strangers(),
		devpki.ClientOptions{CommonName: strings.Repeat("\x01", 40_000)})
	for i := range 4 {
		a.again(0, func() { a.floodLog(i, wordy) })
	}
	servertest.WaitFor(a.t, "all of them are at it", func() bool {
		return a.halfOpen.Load() >= int64(load.halfOpen) && a.floods.Load() > 4
	})
}

// letIn checks that a busy and a quiet provider get in, from addresses of their own and of strangers. It
// gives the connections that the busy ones keep.
func (p *process) letIn(w *world, load hostileLoad) (established []*tls.Conn) {
	for _, way := range []struct{ name, from string }{
		{"busy, of its own address", "127.0.3.1"}, {"quiet, of its own address", "127.0.3.2"},
		{"busy, of a stranger's address", attackerAddress(0)}, {"quiet, of a stranger's address", attackerAddress(7)},
	} {
		relay := slowRelay(p.t, p.push, way.from, 100*time.Millisecond)
		if strings.HasPrefix(way.name, "busy") {
			for range load.busy {
				if c, err := net.DialTimeout("tcp", relay, newcomerPatience); err == nil {
					conn := tls.Client(c, w.clientTLS12())
					conn.Handshake()
					established = append(established, conn)
				}
			}
		}
		missed, slowest := 0, time.Duration(0)
		for range load.tries {
			took, err := w.connect(relay)
			if err != nil {
				p.t.Logf("%s: %v after %v", way.name, err, took)
				missed++
			}
			slowest = max(slowest, took)
		}
		p.t.Logf("%s: %d of %d new connections are in, the slowest after %v",
			way.name, load.tries-missed, load.tries, slowest.Round(time.Millisecond))
		if missed > 0 || !within(p.t, slowest, 2*time.Second) {
			p.t.Errorf("%s: %d of %d are not in, the slowest took %v", way.name, missed, load.tries, slowest)
		}
	}
	return established
}

// newcomerPatience is how long a connection may take until it counts as missed. What it may
// take without being a fault is less.
const newcomerPatience = time.Minute

// connect does a handshake with the gateway at addr, and ends the connection. It gives how long that took.
func (w *world) connect(addr string) (took time.Duration, err error) {
	start := time.Now()
	c, err := net.DialTimeout("tcp", addr, newcomerPatience)
	if err != nil {
		w.T.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(newcomerPatience))
	conn := tls.Client(c, w.clientTLS12())
	defer conn.Close()
	err = conn.Handshake()
	return time.Since(start), err
}

// clientTLS12 is ClientTLS with TLS 1.2, whose handshake ends with the gateway's message.
func (w *world) clientTLS12() *tls.Config {
	c := w.ClientTLS()
	c.ServerName, c.MaxVersion = "gateway.push.apple.com", tls.VersionTLS12
	return c
}

// helloBytes is a complete ClientHello.
func helloBytes(t *testing.T) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go tls.Client(a, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).Handshake()
	head := make([]byte, 5)
	if _, err := io.ReadFull(b, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(b, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}
