package boltstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"apnsbridge/store/storetest"
)

// Try refuses what Open refuses, in a sentence of a fixed form, and leaves nothing behind.
func TestTry(t *testing.T) {
	const elsewhere = ": name a directory on a disk, where the user that apnsbridge runs as may write"
	const remove = ": remove it, or name another directory"
	dir := t.TempDir()
	in := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	link := func(to, name string) string {
		if err := os.Symlink(to, in(name)); err != nil {
			t.Fatal(err)
		}
		return in(name)
	}
	write := func(names ...string) string {
		if err := os.MkdirAll(filepath.Dir(in(names...)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in(names...), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return in(names...)
	}
	file, dangling, loop := write("file"), link("gone", "dangling"), link("loop", "loop")
	long := in(strings.Repeat("a", 300))
	for _, path := range []string{in("a directory for the lists", fileName), in("queues", spoolDir, queuesFileName),
		in("no spool"), in("device")} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("a file for the spool", spoolDir)
	link("gone", filepath.Join("no spool", spoolDir))
	link("/dev/full", filepath.Join("device", fileName))
	for _, tt := range []struct{ name, path, want string }{
		{"there is none", in("new"), ""},
		{"nor a parent", in("new too", "a", "b"), ""},
		{"a link", filepath.Join(link(".", "link"), "linked"), ""},
		{"proc", "/proc/apnsbridge", " cannot be written: no such file or directory" + elsewhere},
		{"proc itself", "/proc", " cannot be written: no such file or directory" + elsewhere},
		{"below a device", "/dev/null/data", " cannot be written: not a directory" + elsewhere},
		{"a file", file, " is a file: name a directory"},
		{"below a file", filepath.Join(file, "data"), " cannot be written: not a directory" + elsewhere},
		{"a link to nothing", dangling, " is, or is below, a link to what is not there: make the directory that is " +
			"meant, or name another"},
		{"below a link to nothing", filepath.Join(dangling, "data"), " is, or is below, a link to what is not there: " +
			"make the directory that is meant, or name another"},
		{"a link to itself", loop, " cannot be written: too many levels of symbolic links" + elsewhere},
		{"a long name", long, " cannot be written: file name too long" + elsewhere},
		{"a directory for a file", in("a directory for the lists"), "/feedback.db cannot be written: is a directory" + remove},
		{"a directory for the queues", in("queues"), "/spool/queues.db cannot be written: is a directory" + remove},
		{"a file for the spool", in("a file for the spool"), "/spool cannot be written: not a directory" + remove},
		{"a link to nothing for the spool", in("no spool"), "/spool cannot be written: no such file or directory" + remove},
		{"a device for a file", in("device"), "/feedback.db cannot be written: it is a device or a pipe" + remove},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.HasPrefix(tt.path, "/proc") {
				if _, err := os.Stat("/proc/self"); err != nil {
					t.Skip("there is no /proc")
				}
			}
			want := tt.want
			if want != "" {
				want = tt.path + want
			}
			agree(t, tt.path, want)
		})
	}
	t.Run("no room", func(t *testing.T) { // Open is not called: bbolt's mapping would stay, and keep the disk busy
		disk := storetest.NewDisk(t, 64<<10)
		want := disk.Dir + " cannot be written: no space left on device: make room, or name a directory on another disk"
		if err := Try(disk.Dir); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
	t.Run("a full disk with a store", func(t *testing.T) {
		disk := storetest.NewDisk(t, 1<<20)
		fill(t, disk.Dir, 10)
		disk.Fill()
		agree(t, disk.Dir, "")
		disk.ReadOnly()
		agree(t, disk.Dir, filepath.Join(disk.Dir, fileName)+" cannot be written: read-only file system"+elsewhere)
	})
	t.Run("read-only", func(t *testing.T) {
		disk := storetest.NewDisk(t, 1<<20)
		disk.ReadOnly()
		agree(t, disk.Dir, disk.Dir+" cannot be written: read-only file system"+elsewhere)
		below := filepath.Join(disk.Dir, "data")
		agree(t, below, below+" cannot be written: read-only file system"+elsewhere)
	})
}

// agree checks that Try says want, "" for no error, and that Open succeeds or fails accordingly.
func agree(t *testing.T, path, want string) {
	t.Helper()
	said := ""
	if err := Try(path); err != nil {
		said = err.Error()
	}
	if said != want {
		t.Errorf("got %q, want %q", said, want)
	}
	for _, dir := range []string{path, filepath.Dir(path)} {
		if left, err := filepath.Glob(filepath.Join(dir, ".apnsbridge-*")); err != nil || len(left) > 0 {
			t.Errorf("%q are left, %v", left, err)
		}
	}
	s, err := Open(path, Options{})
	if err == nil {
		err = s.Close()
	}
	if (err == nil) != (want == "") {
		t.Errorf("Open says %v", err)
	}
}

// If the store belongs to another user, as after a trial run as root, the remedy covers all of it.
func TestTryAnothersStore(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root writes everything")
	}
	for _, name := range []string{fileName, spoolDir, filepath.Join(spoolDir, queuesFileName)} {
		dir := filepath.Join(t.TempDir(), "data")
		fill(t, dir, 1)
		path := filepath.Join(dir, name)
		mode := os.FileMode(0o400)
		if name == spoolDir {
			mode = 0o500
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(path, 0o700) })
		want := path + " cannot be written: permission denied: give " + dir + " and all in it to the user that apnsbridge " +
			"runs as"
		if name != spoolDir { // Open notices only when it begins a segment
			agree(t, dir, want)
		} else if err := Try(dir); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
