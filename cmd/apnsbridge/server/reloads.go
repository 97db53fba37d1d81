package server

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/cmd/apnsbridge/metrics"
)

// reloads counts what is read again while the gateway runs.
type reloads struct {
	loaded  atomic.Int64 // when the current configuration was read, in seconds since 1970
	refused atomic.Bool  // the last configuration that was read cannot be used

	mu             sync.Mutex
	configurations map[string]uint64 // by result
	certificates   map[metrics.SectionResult]uint64
}

func newReloads(now time.Time) *reloads {
	r := &reloads{configurations: make(map[string]uint64), certificates: make(map[metrics.SectionResult]uint64)}
	for _, result := range []string{taken, refused} {
		r.configurations[result] = 0
		r.certificates[metrics.SectionResult{Section: "tls", Result: result}] = 0
	}
	r.loaded.Store(now.Unix())
	return r
}

// The results of reading something again.
const (
	taken   = "taken"
	refused = "refused"
)

func result(err error) string {
	if err != nil {
		return refused
	}
	return taken
}

// reloaded counts a configuration that was read at the given time.
func (r *reloads) reloaded(at time.Time, err error) {
	r.mu.Lock()
	r.configurations[result(err)]++
	r.mu.Unlock()
	r.refused.Store(err != nil)
	if err == nil {
		r.loaded.Store(at.Unix())
	}
}

// renewed counts a certificate whose files were read again.
func (r *reloads) renewed(section string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.certificates[metrics.SectionResult{Section: section, Result: result(err)}]++
}

func (r *reloads) figures() metrics.Reloads {
	r.mu.Lock()
	defer r.mu.Unlock()
	return metrics.Reloads{
		Configurations: maps.Clone(r.configurations), Certificates: maps.Clone(r.certificates),
		Loaded: r.loaded.Load(), Refused: r.refused.Load(),
	}
}
