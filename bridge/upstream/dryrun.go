package upstream

import (
	"sync"
	"time"
)

// DryRun stands in the place of an Upstream whose pushes do not go to APNs: each is
// answered as if APNs had accepted it, and that is all.
type DryRun struct {
	Now      func() time.Time // as in Config, and so are the others
	Begin    func(*Push, time.Time) bool
	Answered func(*Push, Verdict, time.Time)

	mu      sync.Mutex
	sent    []*Push
	running bool
}

// Send takes p and returns at once, as an upstream does: the lane's own lock may be
// taken again only after that.
func (d *DryRun) Send(p *Push) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = append(d.sent, p)
	if !d.running {
		d.running = true
		go d.run()
	}
}

// run ends what was sent, until there is nothing more.
func (d *DryRun) run() {
	var batch []*Push
	for {
		d.mu.Lock()
		batch, d.sent = d.sent, batch[:0]
		d.running = len(batch) > 0
		d.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		now := d.Now()
		for i, p := range batch {
			if batch[i] = nil; d.Begin(p, now) {
				d.Answered(p, Verdict{Class: Accepted}, now)
			}
		}
	}
}

// Renew has no JWT to mint.
func (*DryRun) Renew(string) {}

// Retire has no connection to end.
func (*DryRun) Retire() {}
