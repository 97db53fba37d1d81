package storetest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Disk is a small file system of its own.
type Disk struct {
	Dir string
	t   *testing.T
}

// NewDisk mounts a Disk of size bytes that is unmounted with the test. Where that is not
// allowed, the test is skipped with the reason.
func NewDisk(t *testing.T, size int) *Disk {
	t.Helper()
	d := &Disk{Dir: t.TempDir(), t: t}
	if err := mount(d.Dir, size); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		err := unmount(d.Dir)
		// A process that another test starts has our files open until it has begun.
		for end := time.Now().Add(time.Minute); errors.Is(err, syscall.EBUSY) && time.Now().Before(end); err = unmount(d.Dir) {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			t.Errorf("unmount %s: %v", d.Dir, err)
		}
	})
	return d
}

// Fill fills the disk.
func (d *Disk) Fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 4096); err == nil; {
		_, err = f.Write(b)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

// Free gives back the space that Fill has taken.
func (d *Disk) Free() {
	d.t.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		d.t.Fatal(err)
	}
}

// ReadOnly makes the disk read-only. No file may be open for writing.
func (d *Disk) ReadOnly() {
	d.t.Helper()
	if err := remountReadOnly(d.Dir); err != nil {
		d.t.Fatal(err)
	}
}

func (d *Disk) ballast() string { return filepath.Join(d.Dir, "ballast") }
