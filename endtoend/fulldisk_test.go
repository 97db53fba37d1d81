package endtoend

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/store/storetest"
)

// fullDisk is a gateway whose disk is full at times while providers write.
type fullDisk struct {
	*killed
	process *process
	disk    *storetest.Disk
	writers []*writer
	writing sync.WaitGroup
}

const fullMemory = 2 << 20 // queued_bytes

func newFullDisk(t *testing.T, mode string) *fullDisk {
	d := &fullDisk{disk: storetest.NewDisk(t, 16<<20)}
	d.killed = newKilled(t, fmt.Sprintf("spool: {mode: %s}\nlimits: {queued_bytes: %d, retry_delay: 20ms, retry_delay_max: 100ms}", mode, fullMemory))
	d.Stop()
	if err := os.RemoveAll(d.Path("data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(d.disk.Dir, d.Path("data")); err != nil {
		t.Fatal(err)
	}
	const providers = 4
	for i := range providers {
		d.writers = append(d.writers, &writer{number: i * ofProvider})
	}
	d.process = startProcess(t, d.world)
	return d
}

// write makes each provider write a number of notifications over a connection. broken says
// that the connection may break.
func (d *fullDisk) write(t *testing.T, each int, broken bool) {
	for _, w := range d.writers {
		d.writing.Go(func() {
			if err := w.write(d.killed, d.process.push, each, true); err != nil && !broken {
				t.Errorf("a provider: %v", err)
			}
		})
	}
}

func (d *fullDisk) taken(t *testing.T) int {
	return int(d.Sum(t, "apnsbridge_notifications_taken_total"))
}

// stands waits until nothing more is read because the disk is full.
func (d *fullDisk) stands(t *testing.T, most int) {
	t.Helper()
	servertest.WaitFor(t, "/readyz says that the disk is full", func() bool {
		status, body := d.Ask(t, http.MethodGet, "/readyz", nil)
		return status == http.StatusServiceUnavailable &&
			strings.Contains(body, "the store cannot be written: no space left on device: make room on the disk of /")
	})
	if d.Metric(t, "apnsbridge_store_failing_seconds") <= 0 {
		t.Error("the metrics say that the store can be written")
	}
	before := -1
	servertest.WaitFor(t, "nothing more is read", func() bool {
		now := d.taken(t)
		defer func() { before = now }()
		return now == before
	})
	if before >= most {
		t.Error("all were taken, nobody had to wait")
	}
	if got := int(d.Metric(t, `apnsbridge_limit_used{limit="queued_bytes"}`)); got > 2*fullMemory {
		t.Errorf("%d bytes are in memory, want %d and a little", got, fullMemory)
	}
}

// The disk is full while providers write, either while APNs takes nothing, or with a spool
// that has to have everything first. Then nothing more is read, /readyz says why, and as
// soon as there is space everything is delivered. A process that is killed meanwhile loses
// nothing that was committed.
func TestDiskFullUnderLoad(t *testing.T) {
	const each = 10_000
	for _, tt := range []struct {
		name, mode string
		early      bool // full before anything was written
		scenario   apnssim.Scenario
		kill       bool
	}{
		{"overflow, in an outage", "overflow", false, apnssim.Scenario{Outage: &apnssim.Outage{}}, false},
		{"always, in an outage", "always", false, apnssim.Scenario{Outage: &apnssim.Outage{}}, false},
		{"always, from the beginning", "always", true, fair.scenario, false},
		{"always, killed in an outage", "always", false, apnssim.Scenario{Outage: &apnssim.Outage{}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newFullDisk(t, tt.mode)
			d.feel(t, tt.scenario)
			if tt.early {
				d.disk.Fill()
			}
			d.write(t, each, tt.kill)
			if !tt.early {
				servertest.WaitFor(t, "some are taken", func() bool { return d.taken(t) > each/2 })
				d.disk.Fill()
			}
			d.stands(t, each*len(d.writers))
			if tt.kill {
				d.process.kill()
				d.writing.Wait()
				d.ends = append(d.ends, d.ended(t, d.process))
			}
			d.disk.Free()
			if tt.kill {
				d.process = startProcess(t, d.world)
				d.write(t, 500, false)
			}
			d.feel(t, fair.scenario)
			d.writing.Wait()
			d.drain(t, d.process)
			d.check(t, d.writers)
		})
	}
}
