package bridge

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/boltstore"
)

// flip flips a bit of the only place in the files under dir where text stands.
func flip(t *testing.T, dir, text string) {
	t.Helper()
	found := 0
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		at := bytes.Index(content, []byte(text))
		if err != nil || at < 0 {
			return err
		}
		found++
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte{content[at] ^ 1}, int64(at))
		return err
	})
	if found == 0 {
		t.Fatalf("%q is in no file", text)
	}
}

// A record of the open spool that cannot be read any more stops no other. It is counted.
func TestBrokenRecordStopsNoOther(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		for _, broken := range [][]int{{1000}, {300, 301, 302, 1999}, {0}} {
			t.Run(fmt.Sprint(mode.name, broken), func(t *testing.T) {
				t.Parallel()
				sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
				dir, clock := t.TempDir(), new(movableClock)
				s := openStore(t, dir, boltstore.Options{Now: clock.now})
				c := spooled(s, mode.mode, mailApp(t, sim))
				c.Now, c.Limits.SpoolAhead = clock.now, 50_000
				b := startBridge(t, c)
				session, p := open(t, b, Origin{})
				const count = 2000
				for i := range count {
					p.push(t, session, note(deviceToken(goodDevice, i%500), uint32(i), fmt.Sprintf(`{"aps":{"alert":"needle%05d"}}`, i)))
				}
				until(t, "all are on disk", func() bool { return b.Stats().Apps["mail"].Waiting.OnDisk == count && gateOf(b, "mail").Unwritten == 0 })
				for _, i := range broken {
					flip(t, dir, fmt.Sprintf("needle%05d", i))
				}
				setScenario(t, sim, apnssim.Scenario{})
				until(t, "all others go", func() bool {
					clock.forward(100 * time.Millisecond)
					return b.Stats().Apps["mail"].Waiting.Notifications == 0
				})
				session.Close(nil)
				delivered(t, b)
				st := b.Stats().Apps["mail"]
				if int(st.Unreadable) > len(broken) || int(st.Accepted+st.Unreadable) != count {
					t.Errorf("%d accepted, %d unreadable, want %d and %d at most", st.Accepted, st.Unreadable, count, len(broken))
				}
				inOrder(t, sim, "aa", int(st.Accepted))
			})
		}
	}
}

// A stretch of the open spool's log is overwritten, its end cut off, or the file removed: what
// was in it is counted as unreadable, each notification of it, and told.
func TestBrokenStretchIsCounted(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		for name, hurt := range map[string]func(path string, size int64) error{
			"overwritten": func(path string, size int64) error {
				f, err := os.OpenFile(path, os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				defer f.Close()
				_, err = f.WriteAt(make([]byte, 4096), size/2)
				return err
			},
			"cut":     func(path string, size int64) error { return os.Truncate(path, size/2) },
			"removed": func(path string, _ int64) error { return os.Remove(path) },
		} {
			t.Run(mode.name+" "+name, func(t *testing.T) {
				t.Parallel()
				sim := startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}})
				dir, clock := t.TempDir(), new(movableClock)
				s := openStore(t, dir, boltstore.Options{Now: clock.now})
				c := spooled(s, mode.mode, mailApp(t, sim))
				c.Now, c.Limits.SpoolAhead = clock.now, 50_000
				b := startBridge(t, c)
				session, p := open(t, b, Origin{})
				const count = 2000
				for i := range count {
					if i == 20 { // what comes behind a closed door goes to the log, not to queues
						until(t, "the door is closed", isOpen(b, "mail"))
					}
					p.push(t, session, note(deviceToken(goodDevice, i%500), uint32(i), fmt.Sprintf(`{"aps":{"badge":%d}}`, i)))
				}
				until(t, "all are on disk", func() bool { return b.Stats().Apps["mail"].Waiting.OnDisk == count && gateOf(b, "mail").Unwritten == 0 })
				files, err := filepath.Glob(filepath.Join(dir, "spool", "*.log"))
				if err != nil || len(files) != 1 {
					t.Fatalf("got %d files, error %v", len(files), err)
				}
				info, err := os.Stat(files[0])
				if err != nil {
					t.Fatal(err)
				}
				if err := hurt(files[0], info.Size()); err != nil {
					t.Fatal(err)
				}
				setScenario(t, sim, apnssim.Scenario{})
				until(t, "all others go", func() bool {
					clock.forward(100 * time.Millisecond)
					return b.Stats().Apps["mail"].Waiting.Notifications == 0
				})
				session.Close(nil)
				delivered(t, b)
				addsUp(t, b)
				st := b.Stats().Apps["mail"]
				if broken := s.Spool().Stats().Broken; st.Unreadable == 0 || broken != st.Unreadable {
					t.Errorf("%d are counted, and %d told", st.Unreadable, broken)
				}
			})
		}
	}
}
