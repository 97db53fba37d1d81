package endtoend

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/provider"
)

// flooding tells a flooder what to do. A flooder is a process of its own with many
// connections, each of which writes notifications of a crowd without end.
type flooding struct {
	Server        string
	From          string // address
	Connections   int
	First         int // provider number of the first connection; each further one has the next
	Cert, Key, CA string
}

// flooded is what a flooder reports, again and again.
type flooded struct {
	Open    int    // connections
	Bytes   int64  // that the kernel has taken
	Blocked int    // connections whose write has not returned
	Numbers []int  // in the last report: how many notifications each connection has written
	Packets int    // error responses read
	Failed  string // the first thing that went wrong
}

// flood is the flooder's main function: it reads a flooding, writes until stdin ends, and
// then ends each connection after a whole notification.
func flood() {
	var f flooder
	in := json.NewDecoder(os.Stdin)
	if err := in.Decode(&f.flooding); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		io.Copy(io.Discard, os.Stdin)
	}()
	config, err := f.tls()
	if err != nil {
		f.fail(err)
	}
	numbers := make([]int, f.Connections)
	var dialled, running sync.WaitGroup
	dialled.Add(f.Connections)
	places := make(chan struct{}, 16) // handshakes at a time
	for i := range f.Connections {
		running.Go(func() {
			places <- struct{}{}
			conn, err := f.dial(config)
			<-places
			dialled.Done()
			if err != nil {
				f.fail(err)
				return
			}
			defer conn.Close()
			dialled.Wait()
			numbers[i] = f.write(conn, (f.First+i)*ofProvider, stop)
		})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		running.Wait()
	}()
	out := json.NewEncoder(os.Stdout)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-tick.C:
			out.Encode(f.report())
			continue
		case <-ended:
		}
		last := f.report()
		last.Numbers = numbers
		out.Encode(last)
		return
	}
}

// flooder is the process with its figures.
type flooder struct {
	flooding
	open, blocked, bytes, packets atomic.Int64
	failed                        atomic.Pointer[error]
}

func (f *flooder) fail(err error) { f.failed.CompareAndSwap(nil, &err) }

func (f *flooder) report() flooded {
	r := flooded{Open: int(f.open.Load()), Bytes: f.bytes.Load(), Blocked: int(f.blocked.Load()),
		Packets: int(f.packets.Load())}
	if err := f.failed.Load(); err != nil {
		r.Failed = (*err).Error()
	}
	return r
}

func (f *flooder) tls() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	host, _, err := net.SplitHostPort(f.Server)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: host}, err
}

// dial connects with a small send buffer, so that little is on its way.
func (f *flooder) dial(config *tls.Config) (*provider.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(f.From)}, Timeout: time.Minute}
	raw, err := dialer.Dial("tcp", f.Server)
	if err != nil {
		return nil, err
	}
	tcp := raw.(*net.TCPConn)
	tcp.SetWriteBuffer(8 << 10)
	conn := &provider.Conn{Conn: tls.Client(tcp, config), TCP: tcp}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, err
	}
	f.open.Add(1)
	return conn, nil
}

// write writes notifications numbered from first on until stop, ends its side, and waits
// for the gateway to end its own. It gives how many it has written.
func (f *flooder) write(conn *provider.Conn, first int, stop <-chan struct{}) (count int) {
	var frames []byte
	for stopped := false; !stopped; {
		frames = frames[:0]
		for range 5 {
			n := paddedCrowd(first + count)
			frames = n.Append(frames)
			count++
		}
		f.blocked.Add(1)
		_, err := conn.Write(frames)
		f.blocked.Add(-1)
		if err != nil {
			f.fail(err)
			return count
		}
		f.bytes.Add(int64(len(frames)))
		select {
		case <-stop:
			stopped = true
		default:
		}
	}
	if err := conn.CloseWrite(); err != nil {
		f.fail(err)
	}
	switch _, err := conn.ReadResponse(); {
	case err == nil:
		f.packets.Add(1)
	case !errors.Is(err, io.EOF):
		f.fail(err)
	}
	return count
}

// paddedCrowd is crowded for thousands of providers, with payloads of many sizes.
func paddedCrowd(number int) binproto.Notification {
	const devices = 100
	n := crowded(number)
	n.Token = servertest.Unhex(servertest.Token(fmt.Sprintf("c%04x", number/ofProvider), number%devices))
	padding := []int{0, 100, 500, 2500}[number%4]
	n.Payload = fmt.Appendf(n.Payload[:len(n.Payload)-1], `,"padding":"%s"}`, strings.Repeat("x", padding))
	return n
}

// flooderProcess is a flooder as a test sees it.
type flooderProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}

	mu    sync.Mutex
	last  flooded
	still int // reports in a row that say the same: all are blocked
}

// startFlooder starts a flooder with connections from an address of its own.
func (w *world) startFlooder(server string, connections int) *flooderProcess {
	w.T.Helper()
	f := &flooderProcess{t: w.T, cmd: servertest.Called(w.T, "flooder"), ended: make(chan struct{})}
	f.cmd.Stderr = os.Stderr
	var err error
	if f.stdin, err = f.cmd.StdinPipe(); err != nil {
		w.T.Fatal(err)
	}
	stdout, err := f.cmd.StdoutPipe()
	if err != nil {
		w.T.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		w.T.Fatal(err)
	}
	go f.listen(stdout)
	w.T.Cleanup(func() {
		f.cmd.Process.Kill()
		<-f.ended
		f.cmd.Wait()
	})
	if err := json.NewEncoder(f.stdin).Encode(flooding{
		Server: server, From: "127.0.0.2", Connections: connections, First: 1,
		Cert: w.Path("client.pem"), Key: w.Path("client-key.pem"), CA: w.Path("ca.pem"),
	}); err != nil {
		w.T.Fatal(err)
	}
	return f
}

func (f *flooderProcess) listen(stdout io.Reader) {
	defer close(f.ended)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var now flooded
		if err := json.Unmarshal(lines.Bytes(), &now); err != nil {
			f.t.Errorf("the flooder says %q: %v", lines.Text(), err)
			return
		}
		f.mu.Lock()
		if f.still++; now.Bytes != f.last.Bytes || now.Blocked != now.Open || now.Open == 0 {
			f.still = 0
		}
		f.last = now
		f.mu.Unlock()
	}
}

// says is the flooder's latest report, and how often in a row it has said that no byte was
// taken and all its connections were blocked.
func (f *flooderProcess) says() (last flooded, still int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last.Failed != "" {
		f.t.Errorf("the flooder: %s", f.last.Failed)
	}
	return f.last, f.still
}

// stop lets the flooder end its connections after what it has begun to write.
func (f *flooderProcess) stop() { f.stdin.Close() }

// over reports whether the flooder has ended; its last report is then complete.
func (f *flooderProcess) over() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}
