package packaging_test

import (
	"bytes"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// supervisor keeps a program running as runit and its kin do: whatever ends is started
// again, until the test ends.
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
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log // one writer: exec copies both in one goroutine
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
		time.Sleep(100 * time.Millisecond) // as they do, so that one that cannot start takes no processor
		if err := s.start(); err != nil {
			s.t.Errorf("supervisor: %v", err)
			return
		}
	}
}

// pid is the process that runs now.
func (s *supervisor) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// restart has the program end in good order; it is started again.
func (s *supervisor) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd.Process.Signal(syscall.SIGTERM)
}

// stop ends the program for good. It may be called twice.
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
