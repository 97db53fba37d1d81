package packaging_test

import (
	"bytes"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// supervisor keeps a program running like runit does: it starts it again whenever it ends,
// until the test ends.
type supervisor struct {
	t    *testing.T
	args []string

	mu       sync.Mutex
	cmd      *exec.Cmd
	log      bytes.Buffer
	stopping bool
	done     chan struct{}
}

func supervise(t *testing.T, args ...string) *supervisor {
	t.Helper()
	s := &supervisor{t: t, args: args, done: make(chan struct{})}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	go s.run()
	t.Cleanup(s.stop)
	return s
}

func (s *supervisor) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log // the same writer, so that exec copies both in one goroutine
	return s.cmd.Start()
}

func (s *supervisor) run() {
	defer close(s.done)
	for {
		s.cmd.Wait()
		s.mu.Lock()
		stopping := s.stopping
		s.mu.Unlock()
		if stopping {
			return
		}
		time.Sleep(100 * time.Millisecond) // so that a program that cannot start does not burn CPU
		if err := s.start(); err != nil {
			s.t.Errorf("supervisor: %v", err)
			return
		}
	}
}

// pid returns the ID of the current process.
func (s *supervisor) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// restart makes the program shut down in good order; then it is started again.
func (s *supervisor) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd.Process.Signal(syscall.SIGTERM)
}

// stop ends the program for good. It may be called more than once.
func (s *supervisor) stop() {
	s.mu.Lock()
	s.stopping = true
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.mu.Unlock()
	<-s.done
	if s.t.Failed() {
		s.t.Logf("the gateway's log:\n%s", s.log.String())
	}
}
