package store

import (
	"context"
	"sync"
)

// finishing are the drains that have given all they had, and of which it is not known yet
// what came of it, by their app.
type finishing struct {
	mu   sync.Mutex
	apps map[string]map[chan struct{}]struct{}
}

// enter notes one; leave says that it is over.
func (f *finishing) enter(app string) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	over := make(chan struct{})
	if f.apps == nil {
		f.apps = make(map[string]map[chan struct{}]struct{})
	}
	if f.apps[app] == nil {
		f.apps[app] = make(map[chan struct{}]struct{})
	}
	f.apps[app][over] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if delete(f.apps[app], over); len(f.apps[app]) == 0 {
			delete(f.apps, app)
		}
		close(over)
	}
}

func (f *finishing) of(app string) (all []chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for over := range f.apps[app] {
		all = append(all, over)
	}
	return all
}

// Settle waits until of all who have been given the list of app, and only have to end
// their connections, it is known what they have read: the client may be through with it
// before we are. It waits for those of now only, and not longer than ctx.
func (d *Drainer) Settle(ctx context.Context, app string) {
	for _, over := range d.finishing.of(app) {
		select {
		case <-over:
		case <-ctx.Done():
			return
		}
	}
}
