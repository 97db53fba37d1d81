package seglog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// refuse makes opening path fail with EIO: it becomes a link to a terminal that has hung up.
func refuse(t *testing.T, path string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals: %v", err)
	}
	var lock, n uint32
	for request, arg := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &lock, syscall.TIOCGPTN: &n} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(arg))); errno != 0 {
			t.Skipf("there are no terminals: %v", errno)
		}
	}
	terminal, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals: %v", err)
	}
	t.Cleanup(func() { terminal.Close() })
	err = errors.Join(master.Close(), os.Rename(path, path+".away"),
		os.Symlink(fmt.Sprint("/proc/self/fd/", terminal.Fd()), path))
	if err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(path); !errors.Is(err, syscall.EIO) {
		f.Close()
		t.Skipf("got %v of a terminal that has hung up, want %v", err, syscall.EIO)
	}
}

// A file that the disk fails to read is lost to this process, which goes on with the others. It is left in
// place for the next process, which may be able to read it.
func TestFileNotGiven(t *testing.T) {
	dir := t.TempDir()
	l, tally := sparseLog(t, dir)
	refused := l.segments[1].path
	refuse(t, refused)
	cleanAll(t, l)
	if got := there(t, l, tally); !slices.Equal(got, []uint64{2, 8, 10}) || tally.Records.Load() != 3 {
		t.Errorf("got records %v, and %d are counted; want 2, 8 and 10", got, tally.Records.Load())
	}
	for _, g := range l.segments {
		if !g.lost && g.dead() != 0 {
			t.Errorf("%s was not rewritten", g.path)
		}
	}
	if pieces, kept := l.Broken(); pieces != 1 || kept == "" {
		t.Errorf("%d are reported as broken, in %q, want 1", pieces, kept)
	}
	if err := l.Flush(); err != nil || l.Segments() != 3 {
		t.Errorf("got error %v and %d segments, want 3", err, l.Segments())
	}
	if err := os.Rename(refused+".away", refused); err != nil {
		t.Fatal(err)
	}
	checkThere(t, "in the next process", imageOf(t, dir).write(t), []uint64{2, 5, 8, 10})
	refuse(t, refused)
	if _, err := Open(l.Config); err != nil && !strings.Contains(err.Error(), refused) {
		t.Errorf("got error %v, want none, or one that names the file", err)
	}
}
