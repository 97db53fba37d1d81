package bench

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/bridge/pace"
	"apnsbridge/gateway"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/identity"
)

// connections is how many connections a round of BenchmarkConnect makes, one after
// another, like a PHP script that makes one for each message.
const connections = 1000

// BenchmarkConnect measures the server's CPU time for a connection that sends
// nothing: with a full handshake and a resumed session, with an RSA certificate and
// an ECDSA one, always with a client certificate that is verified.
func BenchmarkConnect(b *testing.B) {
	dir := writePKI(b)
	pair, err := pki().IssueServer(devpki.ECDSA)
	if err != nil {
		b.Fatal(err)
	}
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	write("ecdsa.pem", append(pair.CertPEM, pair.KeyPEM...))
	write("rsa.pem", append(append([]byte{}, pki().Server.CertPEM...), pki().Server.KeyPEM...))
	for _, key := range []string{"rsa", "ecdsa"} {
		for _, way := range []string{"full", "resumed", "tls13"} {
			b.Run(key+"/"+way, func(b *testing.B) {
				measureConnect(b, setting{PKI: dir, Certificate: filepath.Join(dir, key+".pem")}, way)
			})
		}
	}
}

// measureConnect lets the servers take turns, so that whatever else the machine does
// affects all of them alike.
func measureConnect(b *testing.B, s setting, way string) {
	listener, bridge := startChild(b, "connect-listener", s), startChild(b, "connect-gateway", s)
	servers := []connectServer{
		{"listener", listener.address, func() time.Duration { return listener.ask(order{Do: "usage"}).Usage.CPU }},
		{"gateway", bridge.address, func() time.Duration { return bridge.ask(order{Do: "usage"}).Usage.CPU }},
	}
	if *against != "" {
		s.Program = *against
		before := startChild(b, "connect-gateway", s)
		servers = append(servers, connectServer{"before", before.address, func() time.Duration { return before.ask(order{Do: "usage"}).Usage.CPU }})
	}
	if program := find("haproxy"); program != "" {
		servers = append(servers, startHAProxy(b, program, s))
	} else {
		b.Log("measured without haproxy, which is not installed")
	}
	config := connectConfig(b, s.PKI, way)
	costs := make(map[string][]float64)
	for b.Loop() {
		for _, server := range servers {
			own := config.Clone()
			own.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			if way != "resumed" {
				own.ClientSessionCache = nil
			}
			connect(b, server.address, own, 10, way) // warm-up, which also fetches a session ticket
			before := server.cpu()
			connect(b, server.address, own, connections, way)
			costs[server.name] = append(costs[server.name], micros(server.cpu()-before)/connections)
		}
	}
	b.ReportMetric(0, "ns/op")
	gateway := median(costs["gateway"])
	for name, all := range costs {
		b.ReportMetric(median(all), name+"-µs")
		if name != "gateway" {
			b.ReportMetric(gateway/median(all), "of-"+name)
		}
	}
}

type connectServer struct {
	name, address string
	cpu           func() time.Duration
}

func connectConfig(b *testing.B, dir, way string) *tls.Config {
	client, err := pki().Client.TLS()
	if err != nil {
		b.Fatal(err)
	}
	config := &tls.Config{RootCAs: pki().Pool(), ServerName: "localhost", Certificates: []tls.Certificate{client},
		MaxVersion: tls.VersionTLS12}
	if way == "tls13" {
		config.MinVersion, config.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
	}
	return config
}

func connect(b *testing.B, address string, config *tls.Config, count int, way string) {
	b.Helper()
	for i := range count {
		c, err := tls.Dial("tcp", address, config)
		if err != nil {
			b.Fatal(err)
		}
		if resumed := c.ConnectionState().DidResume; resumed != (way == "resumed") && i > 0 {
			b.Fatalf("got a connection whose session is resumed: %v", resumed)
		}
		c.CloseWrite()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			b.Fatal(err)
		}
		c.Close()
	}
}

// connectListener is crypto/tls alone, with a goroutine for each connection.
type connectListener struct{ net.Listener }

func startConnectListener(s setting) (part, string, error) {
	certificate, err := tls.LoadX509KeyPair(s.Certificate, s.Certificate)
	if err != nil {
		return nil, "", err
	}
	_, roots, err := serverIdentity(s.PKI)
	if err != nil {
		return nil, "", err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
	})
	if err != nil {
		return nil, "", err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return connectListener{l}, l.Addr().String(), nil
}

func (connectListener) do(o order) (answer, error) { return answer{}, errOrder(o) }
func (l connectListener) close()                   { l.Close() }

// connectGateway is the gateway in front of sessions that do nothing.
type connectGateway struct{ *gateway.Server }

func startConnectGateway(s setting) (part, string, error) {
	certificate, err := tls.LoadX509KeyPair(s.Certificate, s.Certificate)
	if err != nil {
		return nil, "", err
	}
	ca, err := tls.LoadX509KeyPair(filepath.Join(s.PKI, "ca.pem"), filepath.Join(s.PKI, "ca-key.pem"))
	if err != nil {
		return nil, "", err
	}
	clients, err := identity.New([]identity.Rule{{App: app, CA: []*x509.Certificate{ca.Leaf}, UID: topic}})
	if err != nil {
		return nil, "", err
	}
	server, err := gateway.NewServer(gateway.Config{
		Port: gateway.Port{
			Endpoints:   []gateway.Endpoint{{Address: "127.0.0.1:0"}},
			Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
			Limits:      gateway.Limits{HandshakeRatePerAddress: pace.Rate{Count: 1_000_000, Per: time.Second}},
			Logger:      zerolog.Nop(),
		},
		Admit: func(h *gateway.Hello) (gateway.Opener, error) {
			client, err := clients.Match(h.Chain, h.Remote.Addr(), time.Now())
			h.Client, h.App = client.ID, client.App
			return func(c *gateway.Conn) (gateway.Session, binproto.Parser) {
				return idleSession{c}, binproto.DefaultParser()
			}, err
		},
	})
	if err != nil {
		return nil, "", err
	}
	go server.Serve()
	return connectGateway{server}, server.Addr().String(), nil
}

func (connectGateway) do(o order) (answer, error) { return answer{}, errOrder(o) }
func (g connectGateway) close()                   { g.Close() }

// idleSession ends with its provider.
type idleSession struct{ *gateway.Conn }

func (idleSession) Push(*binproto.Notification) bool                    { return true }
func (idleSession) Reject(*binproto.Notification, binproto.Status) bool { return true }
func (s idleSession) ReadOn()                                           {}
func (s idleSession) Shutdown(bool)                                     { s.Conn.Close() }
func (idleSession) Close(error)                                         {}

// startHAProxy runs haproxy with one thread, which terminates TLS in front of a
// server that closes each connection.
func startHAProxy(b *testing.B, program string, s setting) connectServer {
	b.Helper()
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { behind.Close() })
	go func() {
		for {
			c, err := behind.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(io.Discard, c)
			}()
		}
	}()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := front.Addr().String()
	front.Close()
	conf := filepath.Join(b.TempDir(), "haproxy.cfg")
	text := fmt.Sprintf(`global
  nbthread 1
  maxconn 2000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen push
  bind %s ssl crt %s ca-file %s/ca.pem verify required
  server behind %s
`, address, s.Certificate, s.PKI, behind.Addr())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program, "-db", "-f", conf)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if err := await(func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}); err != nil {
		b.Fatalf("haproxy: %v", err)
	}
	return connectServer{"haproxy", address, func() time.Duration { return processorOf(b, cmd.Process.Pid) }}
}

// processorOf returns the CPU time that a process of one thread has used.
func processorOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		b.Fatal(err)
	}
	var used time.Duration
	if _, err := fmt.Sscan(string(text), &used); err != nil {
		b.Fatalf("schedstat %q: %v", text, err)
	}
	return used
}
