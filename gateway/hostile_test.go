package gateway_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"apnsbridge/gateway"
	"apnsbridge/gateway/provider"
)

// attack is what a process of its own does: descriptors are short in one.
type attack struct {
	Kind   string // "half-open", "loris" or "flood"
	Server string
	From   string        // address
	Count  int           // connections at a time
	Pause  time.Duration // before one that was closed is opened again

	Certificate [][]byte // of an admitted client
	Key         []byte   // PKCS#8
	Hello       []byte
}

// attackVariable, if set, makes the test's binary an attacker.
const attackVariable = "APNSBRIDGE_GATEWAY_ATTACK"

// runAttack reads an attack from stdin, says "ready" when each connection has
// been tried once, and goes on until stdin ends.
func runAttack() {
	var a attack
	in := json.NewDecoder(os.Stdin)
	must(in.Decode(&a))
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		io.Copy(io.Discard, os.Stdin)
	}()
	var tried, running sync.WaitGroup
	tried.Add(a.Count)
	for i := range a.Count {
		running.Go(func() { a.persist(i, stop, tried.Done) })
	}
	tried.Wait()
	fmt.Println("ready")
	running.Wait()
}

// persist keeps one connection, and connects again when it is closed.
func (a *attack) persist(i int, stop <-chan struct{}, tried func()) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(a.From)}, Timeout: patience}
	for first := true; ; first = false {
		c, err := dialer.Dial("tcp", a.Server)
		if err == nil {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				a.annoy(i, c, stop)
			}()
			if first {
				tried()
			}
			select {
			case <-ended:
			case <-stop:
			}
			c.Close()
			<-ended
		} else if first {
			tried()
		}
		select {
		case <-stop:
			return
		case <-time.After(a.Pause):
		}
	}
}

// annoy returns when the server has closed c.
func (a *attack) annoy(i int, c net.Conn, stop <-chan struct{}) {
	switch a.Kind {
	case "half-open": // by turns all of a ClientHello, all but its end, and nothing
		c.Write(a.Hello[:[]int{len(a.Hello), len(a.Hello) - 1, 0}[i%3]])
	case "loris": // a frame that never ends
		key, err := x509.ParsePKCS8PrivateKey(a.Key)
		must(err)
		t := tls.Client(c, &tls.Config{Certificates: []tls.Certificate{{Certificate: a.Certificate, PrivateKey: key}},
			InsecureSkipVerify: true})
		frame := enhanced(nil, 1, 1)
		for _, b := range frame[:len(frame)-1] {
			if _, err := t.Write([]byte{b}); err != nil {
				break
			}
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	io.Copy(io.Discard, c)
}

// start runs the attack in a process of its own, and returns when all of it has
// begun. stop ends it.
func (a attack) start(t *testing.T) (stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), attackVariable+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(err)
	stdout, err := cmd.StdoutPipe()
	must(err)
	must(cmd.Start())
	must(json.NewEncoder(stdin).Encode(a))
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Errorf("the attacker says %q, %v", line, err)
	}
	return sync.OnceFunc(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("the attacker: ", err)
		}
	})
}

// attackers are processes of one test, each with an address of its own.
type attackers struct {
	t     *testing.T
	base  attack
	from  int // the last byte of the last address
	stops []func()
}

// launch lets that many addresses share count connections, and returns when all have begun.
func (a *attackers) launch(kind string, count, addresses int) {
	begun := make(chan func(), addresses)
	for range addresses {
		a.from++
		one := a.base
		one.Kind, one.From, one.Count = kind, fmt.Sprintf("127.0.0.%d", a.from), count/addresses
		go func() { begun <- one.start(a.t) }()
	}
	for range addresses {
		a.stops = append(a.stops, <-begun)
	}
}

// stop ends them all at once: a process that looks for races takes a second to exit.
func (a *attackers) stop() {
	var stopping sync.WaitGroup
	for _, stop := range a.stops {
		stopping.Go(stop)
	}
	stopping.Wait()
}

// answers knows when the server has answered hellos.
type answers struct {
	mu sync.Mutex
	at map[string]time.Time // by the client's address
}

func (a *answers) watch(c *gateway.Config) {
	a.at = make(map[string]time.Time)
	certificate := c.Certificate
	c.Certificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.at[h.Conn.RemoteAddr().String()] = time.Now()
		return certificate(h)
	}
}

// late reports whether c has had its answer for longer than a client may take to go on where another waits. On a busy
// machine an honest one may take that long, and gives way.
func (a *answers) late(c net.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, answered := a.at[c.LocalAddr().String()]
	return answered && time.Since(at) >= 500*time.Millisecond
}

// TestHostileLoad: strangers say hello and no more, admitted clients send frames that never end,
// and one address is far over its limit, all at the same time and again whenever they are closed.
// Established connections go on, new ones get in, and when it is over nothing is left.
func TestHostileLoad(t *testing.T) {
	limits := gateway.Limits{Connections: 400, ConnectionsPerAddress: 50, Handshakes: 32, HandshakesPerAddress: 8,
		HandshakeTimeout: aHandshake}
	halfOpen, loris, flood, addresses, newcomers, pause := 500, 40, 250, 12, 20, 200*time.Millisecond
	if *long {
		limits = gateway.Limits{} // as they are
		halfOpen, loris, flood, newcomers, pause = 10_000, 1_000, 5_000, 50, 2*time.Second
	}
	ss, lorises := newSessions(t), newSessions(t)
	var answers answers
	s := serve(t, nil, func(c *gateway.Config) {
		answers.watch(c)
		c.Limits = limits
		c.Admit = func(h *gateway.Hello) (gateway.Opener, error) {
			if from := h.Remote.Addr().As4(); from[2] == 0 && from[3] > 1 { // see launch
				return lorises.open, nil
			}
			return ss.open, nil
		}
	})
	s.RestAfter(100 * time.Millisecond)
	key, err := x509.MarshalPKCS8PrivateKey(certificates().client.PrivateKey)
	must(err)
	base := attack{Server: s.Addr().String(), Pause: pause, Certificate: certificates().client.Certificate, Key: key,
		Hello: clientHello(t)}

	connected := dial(t, s, tls.VersionTLS13)
	connected.SetDeadline(time.Time{})
	old := ss.next()
	var lasting []*provider.Conn
	for range 2 * runtime.GOMAXPROCS(0) { // a loop has what it needs once it has a connection
		lasting = append(lasting, dial(t, s, tls.VersionTLS13))
		eventually(t, "the connection is on a loop", ss.next().conn.OnLoop)
	}
	for _, c := range lasting {
		c.Abort()
	}
	eventually(t, "they are gone", func() bool { return s.Stats().Connections == 1 })
	pass(t, s, ss)
	descriptorsBefore, goroutinesBefore := descriptors(t), runtime.NumGoroutine()

	attackers := attackers{t: t, base: base, from: 1}
	defer attackers.stop()
	attackers.launch("loris", loris, 4)
	eventually(t, "the lorises are in", func() bool { return len(lorises.ch) >= loris })
	attackers.launch("flood", flood, 1)
	attackers.launch("half-open", halfOpen, addresses)

	eventually(t, "they have all places", func() bool {
		got := s.Stats()
		return got.OverLimitPerAddress > 0 && got.Connections >= limits.Connections*9/10
	})

	sent := 0
	var slowest time.Duration
	const together = 5 // newcomers, each with an address of its own
	for range newcomers / together {
		begin := time.Now()
		t.Run("newcomers", func(t *testing.T) {
			for i := range together {
				from := fmt.Sprintf("127.0.1.%d", i+1)
				t.Run(from, func(t *testing.T) {
					t.Parallel()
					inTime(t, func() (late bool, err error) {
						tcp := dialFrom(t, s, from)
						c := tls.Client(tcp, clientTLS(tls.VersionTLS12)) // in which a client that was dropped knows it
						if err := c.Handshake(); err != nil {
							return answers.late(tcp), err
						}
						passOver(t, &provider.Conn{Conn: c, TCP: tcp}, ss)
						return false, nil
					})
				})
			}
		})
		slowest = max(slowest, time.Since(begin))
		write(t, connected, enhanced(nil, sent+1, sent+500))
		if sent += 500; t.Failed() {
			break
		}
	}
	eventually(t, "all frames of who was connected", func() bool { return old.len() == sent })
	old.wantNumbers(1, sent)
	t.Logf("%d newcomers with 10 notifications each, the slowest in %v, and %d of who was connected, delivered; "+
		"%d descriptors, %d goroutines", newcomers, slowest.Round(time.Millisecond), sent, descriptors(t),
		runtime.NumGoroutine())
	t.Logf("%+v", s.Stats().PortStats)

	attackers.stop()
	for range len(lorises.ch) {
		r := lorises.next()
		r.closeWhenOver()
		r.waitClosed()
		if r.len() != 0 {
			t.Errorf("a frame that never ended was delivered %d times", r.len())
		}
	}
	eventually(t, "all connections are gone but the first", func() bool { return s.Stats().Connections == 1 })
	eventually(t, "all descriptors are back", func() bool { return descriptors(t) <= descriptorsBefore })
	eventually(t, "all goroutines are back", func() bool { return runtime.NumGoroutine() <= goroutinesBefore })
	t.Logf("afterwards %d descriptors (before: %d), %d goroutines (before: %d)", descriptors(t), descriptorsBefore,
		runtime.NumGoroutine(), goroutinesBefore)
	pass(t, s, ss)
}
