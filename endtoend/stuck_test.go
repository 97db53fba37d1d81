//go:build unix

package endtoend

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// A reload that takes for ever does not keep the gateway from stopping.
func TestStuckReload(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	if out, err := exec.Command("mkfifo", w.Path("fifo")).CombinedOutput(); err != nil {
		t.Skipf("mkfifo: %v: %s", err, out)
	}
	p := startProcess(t, w)
	w.Amend("key: AuthKey_DEVELOPER.p8", "key: fifo")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(w.Path("fifo"), os.O_WRONLY, 0) // returns when the reload reads
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	p.terminate()
	select {
	case <-p.ended:
	case <-time.After(servertest.Patience):
		t.Fatal("SIGTERM is not obeyed")
	}
}

// stalledLog serves a world with a log that is not read.
func stalledLog(t *testing.T, w *world) (cmd *exec.Cmd, log *os.File) {
	t.Helper()
	w.FixPorts()
	w.Stop()
	log, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	const setPipeSize = 1031 // F_SETPIPE_SZ of Linux
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, pipe.Fd(), setPipeSize, 4096); errno != 0 {
		t.Skipf("a pipe of 4 KiB: %v", errno)
	}
	cmd = servertest.Program(t, "serve", "--config", w.Path("apnsbridge.yaml"))
	cmd.Stderr, cmd.Stdout = pipe, pipe
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if _, err := log.Read(make([]byte, 1)); err != nil { // with its first line it serves
		t.Fatal(err)
	}
	return cmd, log
}

// knock lets strangers fill the log until more than 4 KiB are in it.
func (w *world) knock(t *testing.T) {
	t.Helper()
	for range 200 {
		conn, err := tls.Dial("tcp", w.Push, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		if err == nil {
			conn.Close()
		}
	}
}

// A log that is not read holds up neither providers nor the end, and /readyz reports it. A log
// whose reader is gone does not end the gateway.
func TestLogIsNoWeapon(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("gone=%v", gone), func(t *testing.T) {
			w := newWorld(t, apnssim.Scenario{})
			cmd, log := stalledLog(t, w)
			if gone {
				log.Close()
			}
			w.knock(t)
			w.Send(0, w.Dial(w.ClientTLS()))
			want := map[bool]string{true: "ok\nthe log cannot be written: ", false: "ok\nthe log is not read: "}[gone]
			servertest.WaitFor(t, "/readyz tells of it", func() bool {
				_, body := w.Ask(t, http.MethodGet, "/readyz", nil)
				return strings.HasPrefix(body, want)
			})
			begin := time.Now()
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
			if took := time.Since(begin); !within(t, took, 30*time.Second) {
				t.Errorf("the end took %v", took)
			}
			if !gone {
				if text, err := io.ReadAll(log); err != nil || len(text) == 0 {
					t.Errorf("the log has %d bytes, %v", len(text), err)
				}
			}
		})
	}
}
