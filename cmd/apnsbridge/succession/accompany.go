package succession

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
)

// Accompany runs the command line args of this program in a child, and goes as soon
// as ctx ends: the child sees that, and drains. So a manager that waits for the end of
// a process before it starts another, as systemctl restart does, does not wait for the
// drain. The child is given the sockets that systemd gave, SIGHUP and SIGABRT. The error is
// that of a child that has ended by itself: an *exec.ExitError says what it has said.
func Accompany(ctx context.Context, args []string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	seen, held, err := os.Pipe() // closed by our end, whatever that is
	if err != nil {
		return err
	}
	defer seen.Close()
	given, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		given = 0
	}
	child := &exec.Cmd{Path: program, Args: append([]string{os.Args[0]}, args...)}
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	for i := range given {
		const first = 3 // sd_listen_fds(3)
		child.ExtraFiles = append(child.ExtraFiles, os.NewFile(uintptr(first+i), "socket"))
	}
	child.ExtraFiles = append(child.ExtraFiles, seen)
	child.Env = append(without(os.Environ(), parentVariable), parentVariable+"="+strconv.Itoa(os.Getpid()),
		pipeVariable+"="+strconv.Itoa(2+len(child.ExtraFiles)))
	passed := make(chan os.Signal, 1)
	signal.Notify(passed, syscall.SIGHUP, syscall.SIGABRT) // the latter is a watchdog's
	defer signal.Stop(passed)
	if err := child.Start(); err != nil {
		return fmt.Errorf("cannot start the gateway: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case s := <-passed:
			child.Process.Signal(s)
		case err := <-ended:
			held.Close()
			return err
		case <-ctx.Done():
			return nil // the kernel closes held
		}
	}
}

// pipeVariable is the descriptor of a pipe whose other end the parent holds.
const pipeVariable = "APNSBRIDGE_PARENT_PIPE"

// WithParent gives a context that the end of the parent of Accompany ends. It reports
// whether there is one: then a successor is likely to follow.
func WithParent(ctx context.Context) (_ context.Context, _ context.CancelFunc, accompanied bool) {
	ctx, cancel := context.WithCancel(ctx)
	fd, err := strconv.Atoi(os.Getenv(pipeVariable))
	if err != nil || os.Getenv(parentVariable) != strconv.Itoa(os.Getppid()) {
		return ctx, cancel, false
	}
	os.Unsetenv(pipeVariable)
	closeOnExec(fd)
	pipe := os.NewFile(uintptr(fd), "parent")
	go func() {
		pipe.Read(make([]byte, 1))
		cancel()
	}()
	return ctx, func() {
		cancel()
		pipe.Close()
	}, true
}
