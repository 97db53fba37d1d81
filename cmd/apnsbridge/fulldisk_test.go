package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store/storetest"
)

// The disk is full while providers write, with nothing to be had from APNs, or
// with a spool that has everything first. Then nothing more is read, /readyz says
// why, and as soon as there is space all goes on and everything is delivered. A
// process that is killed meanwhile has lost nothing that was committed.
func TestDiskFullUnderLoad(t *testing.T) {
	const queued = 2 << 20
	for _, tt := range []struct {
		name, mode string
		scenario   apnssim.Scenario
		kill       bool
	}{
		{"overflow, in an outage", "overflow", apnssim.Scenario{Outage: &apnssim.Outage{}}, false},
		{"always", "always", apnssim.Scenario{Latency: quick}, false},
		{"always, in an outage", "always", apnssim.Scenario{Outage: &apnssim.Outage{}}, false},
		{"always, killed in an outage", "always", apnssim.Scenario{Outage: &apnssim.Outage{}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			disk := storetest.NewDisk(t, 16<<20)
			k := newKilled(t, fmt.Sprintf("spool: {mode: %s}\nlimits: {queued_bytes: %d, retry_delay: 20ms, retry_delay_max: 100ms}", tt.mode, queued))
			k.stop()
			if err := os.RemoveAll(k.path("data")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(disk.Dir, k.path("data")); err != nil {
				t.Fatal(err)
			}
			k.feel(t, tt.scenario)
			p := startProcess(t, k.world)
			const providers, each = 4, 10_000
			var writing sync.WaitGroup
			var writers []*writer
			for i := range providers {
				w := &writer{number: i * ofProvider}
				writers = append(writers, w)
				writing.Go(func() {
					if err := w.write(k, p.push, each, true); err != nil && !tt.kill {
						t.Errorf("a provider: %v", err)
					}
				})
			}
			taken := func() int { return int(k.metric(t, `apnsbridge_bridge_app_taken_total{app="demo"}`)) }
			waitFor(t, "some are taken", func() bool { return taken() > each/2 })
			disk.Fill()
			waitFor(t, "/readyz says that the disk is full", func() bool {
				status, body := k.ask(t, http.MethodGet, "/readyz", nil)
				return status == http.StatusServiceUnavailable && strings.Contains(body, "the store cannot be written: no space left on device\n")
			})
			before := -1
			waitFor(t, "nothing more is read", func() bool {
				now := taken()
				defer func() { before = now }()
				return now == before
			})
			if got := int(k.metric(t, "apnsbridge_bridge_queued_bytes")); got > 2*queued {
				t.Errorf("%d bytes are in memory, want %d and a little", got, queued)
			}
			if before == providers*each {
				t.Error("all were taken, nobody had to wait")
			}
			if tt.kill {
				p.kill()
				writing.Wait()
				k.ends = append(k.ends, k.ended(t, p))
				disk.Free()
				p = startProcess(t, k.world)
				for _, w := range writers {
					writing.Go(func() {
						if err := w.write(k, p.push, 500, true); err != nil {
							t.Errorf("a provider: %v", err)
						}
					})
				}
			} else {
				disk.Free()
			}
			k.feel(t, apnssim.Scenario{Latency: quick})
			writing.Wait()
			k.drain(t, p)
			k.check(t, writers)
		})
	}
}
