package endtoend

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/provider"
)

// holder keeps a world's two ports open, as systemd does, and gives them to processes.
type holder struct {
	*world
	sockets []*os.File
}

// holdPorts makes a holder of the world's ports.
func holdPorts(t *testing.T, w *world) *holder {
	t.Helper()
	h := &holder{world: w}
	for _, port := range []*string{&w.Push, &w.Feedback} {
		f, address := servertest.HeldPort(t)
		h.sockets, *port = append(h.sockets, f), address
		w.Amend("127.0.0.1:0", *port)
	}
	w.Admin = w.Hold()
	w.Amend("127.0.0.1:0", w.Admin)
	return h
}

// systemd is a command that is started with the sockets, as systemd does.
func (h *holder) systemd(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	inner := servertest.Program(t, args...)
	cmd := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, inner.Path}, args...)...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("LISTEN_FDS=%d", len(h.sockets)))
	cmd.ExtraFiles = h.sockets
	return cmd
}

// settings is the path of the configuration.
func (w *world) settings() string { return w.Path("apnsbridge.yaml") }

// firm is a provider that gives up at the first connection that fails, or has not done its
// handshake in two seconds, or as much longer as the machine is slower. It writes list after
// list, each over a connection of its own.
type firm struct {
	goer
	first   int           // number of its first notification
	lists   int           // how many were written
	written *atomic.Int64 // notifications, by all providers
}

const (
	handshakeWithin = 2 * time.Second

	// mostUndelivered is how many notifications of all providers APNs may not have yet when the
	// next list is written. With the race detector they are faster than the gateway, and would
	// come to its limit of connections for a client with lists that are not read to their ends.
	mostUndelivered = 50_000
)

// run writes lists until done.
func (p *firm) run(ctx context.Context, w *world, done *atomic.Bool) error {
	config := w.ClientTLS()
	for !done.Load() {
		if p.written.Load()-int64(w.Sim.Stats().Accepted) > mostUndelivered {
			<-time.After(10 * time.Millisecond)
			continue
		}
		began := time.Now()
		dialing, cancel := context.WithTimeout(ctx, servertest.Patience)
		conn, err := provider.Dial(dialing, w.Push, config)
		cancel()
		took := time.Since(began)
		if err != nil {
			return fmt.Errorf("list %d, after %v: %w", p.lists, took, err)
		}
		err = p.put(conn, p.first+p.lists*p.frames)
		p.lists++
		p.written.Add(int64(p.frames))
		if err != nil {
			return fmt.Errorf("list %d: %w", p.lists-1, err)
		}
		if !within(w.T, took, handshakeWithin) {
			return fmt.Errorf("list %d: its handshake took %v", p.lists-1, took)
		}
	}
	return nil
}

// restarts lets providers write while the gateway is restarted times times, and fails the
// test if one of them gives up or anything is lost.
func restarts(t *testing.T, w *world, providers, times int, restart func()) {
	t.Helper()
	const all = 1_000_000
	var done atomic.Bool
	var written atomic.Int64
	var writing sync.WaitGroup
	firms := make([]*firm, providers)
	for i := range firms {
		firms[i] = &firm{goer: goer{frames: 60, bad: none, rate: 2000}, first: i * all, written: &written}
		if i%5 == 0 {
			firms[i].frames = 3000 // the predecessor reads it to its end
		}
		writing.Go(func() {
			if err := firms[i].run(t.Context(), w, &done); err != nil {
				t.Errorf("provider %d gives up: %v", i, err)
			}
		})
	}
	f := newFates(w)
	for range times {
		f.count()
		before := w.Sim.Stats().Accepted
		servertest.WaitFor(t, "the present gateway delivers", func() bool {
			return w.Sim.Stats().Accepted > before+40*providers || t.Failed()
		})
		restart()
	}
	done.Store(true)
	writing.Wait()
	for _, p := range firms {
		p.frames *= p.lists
		f.settle(t, p.goer, p.first)
	}
	t.Logf("%d notifications of %d providers over %d restarts", w.Sim.Stats().Accepted, providers, times)
}

// A restart by systemctl refuses no connection, makes none wait, and loses nothing: the main
// process goes at once, and leaves behind the sockets and a child that drains.
func TestRestartUnderSystemd(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // or each process takes a second to end under the race detector
	w := newWorld(t, slowVerdicts)
	w.Stop()
	h := holdPorts(t, w)
	start := func() *process {
		return startCommand(t, w, h.systemd(t, "serve", "--hand-over", "--config", w.settings()))
	}
	main := start()
	var children []*process
	restarts(t, w, rounds(5, 20), rounds(3, 20), func() {
		main.terminate()
		began := time.Now()
		if err := main.cmd.Wait(); err != nil {
			t.Errorf("the main process: %v", err)
		}
		if took := time.Since(began); !within(t, took, time.Second) {
			t.Errorf("the main process went after %v", took)
		}
		children = append(children, main)
		main = start()
	})
	main.terminate()
	for _, p := range append(children, main) {
		<-p.ended // the child has ended, too
		if log := strings.Join(p.stdlog, "\n"); strings.Contains(log, "were cut") {
			t.Errorf("connections were cut:\n%s", log)
		}
	}
}

// Those that are restarted while they still wait for the store have their turns before the one
// that comes last, which keeps the store: providers have written to them, and gone.
func TestRestartWhileWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slowVerdicts)
	w.Stop()
	w.Amend("apps:", "limits: {drain: 5m}\napps:")
	h := holdPorts(t, w)
	serve := func() *exec.Cmd { return h.systemd(t, "serve", "--config", w.settings()) }
	f := newFates(w)
	g := goer{frames: 50, bad: none}
	first, written := startCommand(t, w, serve()), 0
	for round := range rounds(3, 10) {
		stays, err := provider.Dial(t.Context(), w.Push, w.ClientTLS()) // and keeps the first from ending
		if err != nil {
			t.Fatal(err)
		}
		write := func() {
			if err := g.write(t.Context(), w, w.ClientTLS(), written); err != nil {
				t.Fatal(err)
			}
			written += g.frames
		}
		leaving, last := []*process{first}, first
		for range 2 + round%4 {
			last.terminate()
			last = beginCommand(t, w, serve())
			last.awaitAccepting()
			write()
			leaving = append(leaving, last)
		}
		stays.Close()
		for i, p := range leaving[:len(leaving)-1] {
			if err := p.wait(); err != nil {
				t.Errorf("process %d: %v\n%s", i+1, err, strings.Join(p.stdlog, "\n"))
			}
		}
		if _, ok := <-last.serving; !ok {
			t.Fatalf("the last does not serve:\n%s", strings.Join(last.stdlog, "\n"))
		}
		first = last
	}
	for from := 0; from < written; from += g.frames {
		f.settle(t, g, from)
	}
}

// When a watchdog ends the main process, the gateway ends too: otherwise it would keep the
// store from the next one.
func TestHandOverAborted(t *testing.T) {
	w := newWorld(t, slowVerdicts)
	w.Stop()
	h := holdPorts(t, w)
	p := startCommand(t, w, h.systemd(t, "serve", "--hand-over", "--config", w.settings()))
	if err := p.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(); err == nil { // the log ends with the last process that has it open
		t.Error("the main process ended well")
	}
}

// A restart in which the new process asks the old one for its ports loses nothing either.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slowVerdicts)
	w.FixPorts()
	p := startProcess(t, w)
	restarts(t, w, rounds(5, 20), rounds(3, 20), func() {
		successor := startCommand(t, w, servertest.Program(t, "serve", "--take-over", "--config", w.settings()))
		if err := p.wait(); err != nil {
			t.Errorf("the predecessor: %v\n%s", err, strings.Join(p.stdlog, "\n"))
		}
		p = successor
	})
	p.terminate()
	if err := p.wait(); err != nil {
		t.Error(err)
	}
}

// systemd's own tool for socket activation starts the gateway at the first connection.
func TestSocketActivate(t *testing.T) {
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("systemd-socket-activate is not there: ", err)
	}
	w := newWorld(t, slowVerdicts)
	w.Stop()
	w.FixPorts()
	inner := servertest.Program(t)
	cmd := exec.Command(activate, "-l", w.Push, "-l", w.Feedback, inner.Path, "serve", "--config", w.settings())
	started := make(chan *process, 1)
	go func() { started <- startCommand(t, w, cmd) }()
	servertest.WaitFor(t, "it listens", func() bool {
		c, err := net.Dial("tcp", w.Push)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	g := goer{frames: 200, bad: early}
	if err := g.write(t.Context(), w, w.ClientTLS(), 0); err != nil {
		t.Fatal(err)
	}
	p := <-started
	newFates(w).settle(t, g, 0)
	p.terminate()
	if err := p.wait(); err != nil {
		t.Errorf("%v\n%s", err, strings.Join(p.stdlog, "\n"))
	}
}

// The clients of a socket that the configuration does not name would wait for ever.
func TestSocketNobodyNames(t *testing.T) {
	w := newWorld(t, slowVerdicts)
	w.Stop()
	h := holdPorts(t, w)
	w.Amend(w.Feedback, "127.0.0.1:0")
	out, err := h.systemd(t, "serve", "--config", w.settings()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), w.Feedback) || !strings.Contains(string(out), "ListenStream") {
		t.Errorf("got %v\n%s", err, out)
	}
}
