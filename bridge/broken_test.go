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

// flip flips a bit of text in each file under dir that has it.
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

// spoolInOutage is a bridge whose spool holds what was pushed during an outage.
type spoolInOutage struct {
	sim     *apnssim.Simulator
	dir     string
	clock   *movableClock
	store   *boltstore.Store
	bridge  *Bridge
	session *Session
}

// outageCount is how many notifications a spoolInOutage holds.
const outageCount = 2000

// fillInOutage makes a spoolInOutage of notifications to 500 devices with the given payloads.
func fillInOutage(t *testing.T, mode SpoolMode, payload func(b *Bridge, i int) string) *spoolInOutage {
	t.Helper()
	w := &spoolInOutage{
		sim: startSim(t, apnssim.Scenario{Outage: &apnssim.Outage{}}), dir: t.TempDir(), clock: new(movableClock),
	}
	w.store = openStore(t, w.dir, boltstore.Options{Now: w.clock.now})
	c := spooled(w.store, mode, mailApp(t, w.sim))
	c.Now, c.Limits.SpoolAhead = w.clock.now, 50_000
	w.bridge = startBridge(t, c)
	var p *recorder
	w.session, p = open(t, w.bridge, Origin{})
	for i := range outageCount {
		p.push(t, w.session, note(deviceToken(goodDevice, i%500), uint32(i), payload(w.bridge, i)))
	}
	until(t, "all are on disk", func() bool {
		return w.bridge.Stats().Apps["mail"].Waiting.OnDisk == outageCount && gateOf(w.bridge, "mail").Unwritten == 0
	})
	return w
}

// recover ends the outage, waits until nothing is left, and returns what became of the app.
func (w *spoolInOutage) recover(t *testing.T) AppStats {
	t.Helper()
	setScenario(t, w.sim, apnssim.Scenario{})
	until(t, "all others go", func() bool {
		w.clock.forward(100 * time.Millisecond)
		return w.bridge.Stats().Apps["mail"].Waiting.Notifications == 0
	})
	w.session.Close(nil)
	delivered(t, w.bridge)
	return w.bridge.Stats().Apps["mail"]
}

// Damaged records of the open spool are counted, and stop no others.
func TestBrokenRecordStopsNoOther(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		for _, broken := range [][]int{{1000}, {300, 301, 302, 1999}, {0}} {
			t.Run(fmt.Sprint(mode.name, broken), func(t *testing.T) {
				t.Parallel()
				w := fillInOutage(t, mode.mode, func(_ *Bridge, i int) string {
					return fmt.Sprintf(`{"aps":{"alert":"needle%05d"}}`, i)
				})
				for _, i := range broken {
					flip(t, w.dir, fmt.Sprintf("needle%05d", i))
				}
				st := w.recover(t)
				if int(st.Unreadable) > len(broken) || st.Accepted+st.Unreadable != outageCount {
					t.Errorf("%d accepted, %d unreadable, want %d and %d at most",
						st.Accepted, st.Unreadable, outageCount, len(broken))
				}
				inOrder(t, w.sim, "aa", int(st.Accepted))
			})
		}
	}
}

// overwrite overwrites 4 KiB in the middle of a file.
func overwrite(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(make([]byte, 4096), size/2)
	return err
}

// damages are what can happen to a file of the open spool.
var damages = map[string]func(path string, size int64) error{
	"overwritten": overwrite,
	"cut":         func(path string, size int64) error { return os.Truncate(path, size/2) },
	"removed":     func(path string, _ int64) error { return os.Remove(path) },
}

// When a stretch of the open spool's log is overwritten, its end cut off, or the file removed,
// each notification that was in it is counted as unreadable, and reported.
func TestBrokenStretchIsCounted(t *testing.T) {
	t.Parallel()
	for _, mode := range spoolModes {
		for name, damage := range damages {
			t.Run(mode.name+" "+name, func(t *testing.T) {
				t.Parallel()
				w := fillInOutage(t, mode.mode, func(b *Bridge, i int) string {
					if i == 20 { // what comes while the door is closed goes to the log, not to queues
						until(t, "the door is closed", isOpen(b, "mail"))
					}
					return fmt.Sprintf(`{"aps":{"badge":%d}}`, i)
				})
				path := onlyFile(t, filepath.Join(w.dir, "spool", "*.log"))
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := damage(path, info.Size()); err != nil {
					t.Fatal(err)
				}
				st := w.recover(t)
				addsUp(t, w.bridge)
				if broken := w.store.Spool().Stats().Broken; st.Unreadable == 0 || broken != st.Unreadable {
					t.Errorf("%d are counted, and %d told", st.Unreadable, broken)
				}
			})
		}
	}
}

// onlyFile is the path of the one file that pattern matches.
func onlyFile(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: got %d files, error %v", pattern, len(files), err)
	}
	return files[0]
}
