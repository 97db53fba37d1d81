package endtoend

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/provider"
)

// process is `apnsbridge serve` as an operator runs it.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	push   string
	ended  chan struct{} // closed when its log has ended
	stdlog []string

	serving   chan string   // receives push, and is closed when its log has ended
	accepting chan struct{} // receives when it accepts: see awaitAccepting
}

// startProcess serves a world's configuration in a process of its own.
func startProcess(t *testing.T, w *world) *process {
	t.Helper()
	w.Stop()
	return startCommand(t, w, servertest.Program(t, "serve", "--config", w.Path("apnsbridge.yaml")))
}

// startCommand starts cmd, and waits until the gateway that it is serves.
func startCommand(t *testing.T, w *world, cmd *exec.Cmd) *process {
	t.Helper()
	p := beginCommand(t, w, cmd)
	var ok bool
	if p.push, ok = <-p.serving; !ok {
		t.Fatalf("it does not serve:\n%s", strings.Join(p.stdlog, "\n"))
	}
	return p
}

// beginCommand starts cmd.
func beginCommand(t *testing.T, w *world, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ended: make(chan struct{}), serving: make(chan string, 1), accepting: make(chan struct{}, 1)}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		defer close(p.serving)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var event struct{ Message, Gateway string }
			p.stdlog = append(p.stdlog, lines.Text())
			switch json.Unmarshal(lines.Bytes(), &event); {
			case event.Message == "serving":
				p.serving <- event.Gateway
			case strings.HasPrefix(event.Message, "accepting"):
				p.accepting <- struct{}{}
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		p.cmd.Wait()
		w.Search(strings.Join(p.stdlog, "\n"))
		if t.Failed() {
			t.Logf("%s\n%s", p.cmd, strings.Join(p.stdlog, "\n"))
		}
	})
	return p
}

// awaitAccepting returns when the process accepts, though it may not have the store yet.
func (p *process) awaitAccepting() {
	p.t.Helper()
	select {
	case <-p.accepting:
	case <-p.ended:
		p.t.Fatalf("it ends:\n%s", strings.Join(p.stdlog, "\n"))
	}
}

// dial connects a provider to the process.
func (p *process) dial(w *world) *provider.Conn {
	p.t.Helper()
	conn, err := provider.Dial(p.t.Context(), p.push, w.ClientTLS())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	return conn
}

// terminate sends SIGTERM.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits for the process to end, and gives its result.
// awaitNoListener returns when the process accepts no connections any more.
func (p *process) awaitNoListener() {
	p.t.Helper()
	servertest.WaitFor(p.t, "it stops listening", func() bool {
		c, err := net.Dial("tcp", p.push)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

func (p *process) wait() error {
	<-p.ended
	return p.cmd.Wait()
}

// SIGTERM drains: what was taken is delivered before the process ends.
func TestServeDrains(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 300}})
	p := startProcess(t, w)
	conn := p.dial(w)
	for i := range 100 {
		if _, err := conn.Write(servertest.Enhanced(servertest.Token("11", i), i)); err != nil {
			t.Fatal(err)
		}
	}
	w.Await("all are with APNs, none is answered", func(s apnssim.Stats) bool {
		return s.Streams == 100 || s.Received == 100
	})
	p.terminate()
	// The provider was busy a moment ago, and may have more on its way, so it is told to send that again.
	answer, err := conn.ReadResponse()
	if want := (binproto.Response{Status: binproto.Shutdown, Identifier: 99}); err != nil || answer.Status != want.Status || answer.Identifier > want.Identifier {
		t.Errorf("the provider reads %v and error %v, want %v at the latest", answer, err, want)
	}
	conn.Close()
	if err := p.wait(); err != nil {
		t.Errorf("%v\n%s", err, strings.Join(p.stdlog, "\n"))
	}
	if s := w.Sim.Stats(); s.Accepted != 100 || s.Duplicates != 0 {
		t.Errorf("APNs accepted %d with %d duplicates, want 100 and none", s.Accepted, s.Duplicates)
	}
}

// SIGTERM comes while a provider shakes hands. It connects all the same, never pauses in
// writing, and is told to send the rest again when half of the time is over.
func TestServeDrainsHandshakes(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, apnssim.Scenario{})
			w.Amend("apps:", "limits: {drain: 6s}\napps:")
			p := startProcess(t, w)
			config := w.ClientTLS()
			certificate := config.Certificates[0]
			config.MinVersion, config.MaxVersion, config.Certificates = version, version, nil
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				p.terminate()
				p.awaitNoListener()
				return &certificate, nil
			}
			conn, err := provider.Dial(t.Context(), p.push, config)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var answer binproto.Response
			told := make(chan error, 1)
			go func() {
				var err error
				answer, err = conn.ReadResponse()
				told <- err
			}()
			sent := 0
			for writing := time.NewTicker(5 * time.Millisecond); ; sent++ {
				select {
				case <-writing.C:
					if _, err := conn.Write(servertest.Enhanced(servertest.Token("13", sent), sent)); err != nil {
						t.Fatalf("%d were written: %v\n%s", sent, err, strings.Join(p.stdlog, "\n"))
					}
					continue
				case err = <-told:
					writing.Stop()
				}
				break
			}
			if err != nil || answer.Status != binproto.Shutdown {
				t.Errorf("the provider reads %v and error %v, want %v", answer, err, binproto.Shutdown)
			}
			conn.Close()
			if err := p.wait(); err != nil {
				t.Errorf("%v\n%s", err, strings.Join(p.stdlog, "\n"))
			}
			if s := w.Sim.Stats(); s.Accepted <= int(answer.Identifier) || s.Duplicates != 0 {
				t.Errorf("APNs accepted %d with %d duplicates, want the %d before %v and none", s.Accepted, s.Duplicates, answer.Identifier+1, answer)
			}
		})
	}
}

// A second signal ends the process at once, whatever it still has to do.
func TestServeSecondSignal(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 60_000}})
	p := startProcess(t, w)
	conn := p.dial(w)
	if _, err := conn.Write(servertest.Enhanced(servertest.Token("12", 1), 1)); err != nil {
		t.Fatal(err)
	}
	w.Await("it is with APNs", func(s apnssim.Stats) bool { return s.Streams == 1 })
	p.terminate()
	p.awaitNoListener()
	p.terminate()
	if err := p.wait(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("got %v, want an end by the signal", err)
	}
}

// Each mistake of an operator yields one sentence and exit code 1.
func TestServeRefusals(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	settings, err := os.ReadFile(w.Path("apnsbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, with string) []byte {
		return []byte(strings.Replace(string(settings), old, with, 1))
	}
	w.Write("garbage", []byte("garbage"))
	for _, tt := range []struct {
		name   string
		config []byte
		want   string
	}{
		{"port in use", replace(`gateway: {listen: "127.0.0.1:0"}`, fmt.Sprintf("gateway: {listen: %q}", busy.Addr())), "gateway.listen " + busy.Addr().String() + ": address already in use: end the program that has the port, or choose another"},
		{"unreadable key", replace("AuthKey_DEVELOPER.p8", "garbage"), "apps.demo.credential: " + w.Path("garbage") + ": "},
		{"store in a file", append(settings, "store: {path: garbage}\n"...), "store.path: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := w.Write("wrong.yaml", tt.config)
			code, _, stderr := w.Apnsbridge("", "serve", "--config", file)
			if code != servertest.Failed || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("got exit code %d and %q, want 1 and one line with %q", code, stderr, tt.want)
			}
		})
	}
}
