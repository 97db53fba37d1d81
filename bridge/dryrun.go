package bridge

import (
	"sync"

	"apnsbridge/bridge/upstream"
)

// dryRun is the carrier of an app whose notifications do not go to APNs: each is
// taken off its lane as if APNs had accepted it, and that is all.
type dryRun struct {
	mu      sync.Mutex
	sent    []*notification
	running bool
}

// Send takes p and returns at once, as an upstream does: the lane's own lock may be
// taken again only after that.
func (d *dryRun) Send(p *upstream.Push) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = append(d.sent, p.Owner.(*notification))
	if !d.running {
		d.running = true
		go d.run()
	}
}

// run ends what was sent, until there is nothing more.
func (d *dryRun) run() {
	var batch []*notification
	for {
		d.mu.Lock()
		batch, d.sent = d.sent, batch[:0]
		d.running = len(batch) > 0
		d.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for i, n := range batch {
			if batch[i] = nil; n.begin() {
				n.answered(upstream.Verdict{Class: upstream.Accepted})
			}
		}
	}
}

// Renew has no JWT to mint.
func (*dryRun) Renew(string) {}

// Retire has no connection to end.
func (*dryRun) Retire() {}
