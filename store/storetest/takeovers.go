package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"apnsbridge/store"
)

// Found is what Takeovers has found.
type Found struct {
	Takeovers int // claims of an app that had been claimed before
	Writes    int // writes that succeeded
	Refused   int // writes of an old epoch that were refused
	Late      int // claims after which a write of an older epoch still came
	Backward  int // epochs that a node saw after a higher one
	Overlaps  int // claims of an app during a lease whose renewal had shown another node to have it
	Err       error
}

// String formats f on one line.
func (f Found) String() string {
	return fmt.Sprintf("%d takeovers, %d writes, %d of an old epoch refused; %d late, %d backward, %d overlapping; "+
		"error: %v",
		f.Takeovers, f.Writes, f.Refused, f.Late, f.Backward, f.Overlaps, f.Err)
}

const (
	fighters     = 5 // nodes
	fightersApps = 8
	fightLease   = 60 * time.Millisecond
)

// fight is a fight of nodes for apps, with leases that are too short for them.
type fight struct {
	mu      sync.Mutex
	wanted  int
	found   Found
	claims  []claim
	beliefs []belief
}

// claim is a claim that succeeded, and how many records of older epochs there were by then.
type claim struct {
	app, node string
	epoch     uint64
	answered  time.Time
	older     int
}

// belief is a node's belief that it has an app until its lease may have run out.
type belief struct {
	app, node string
	epoch     uint64
	until     time.Time
}

// Takeovers makes nodes fight for apps until there were as many takeovers as wanted. The
// nodes write without looking at their lease, several writes at a time, and are paused at
// random for longer than it runs.
func Takeovers(f Fleet, wanted int) Found {
	w := &fight{wanted: wanted}
	var fighting sync.WaitGroup
	for i := range fighters {
		p, rnd := f(fmt.Sprint("gw", i)), rand.New(rand.NewPCG(uint64(i), 1))
		fighting.Go(func() {
			n := &fighter{fight: w, name: fmt.Sprint("gw", i), p: p, rnd: rnd, epochs: make(map[string]uint64),
				seen: make(map[string]uint64)}
			for n.round() {
			}
			n.writing.Wait()
		})
	}
	fighting.Wait()
	if w.found.Err == nil {
		w.judge(f("judge"))
	}
	return w.found
}

func (w *fight) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found.Err = errors.Join(w.found.Err, err)
}

func (w *fight) goesOn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.found.Takeovers < w.wanted && w.found.Err == nil
}

type fighter struct {
	*fight
	name   string
	p      Process
	rnd    *rand.Rand
	joined bool
	epochs map[string]uint64 // of the apps that it has claimed, and may have lost
	seen   map[string]uint64 // the highest epoch seen of each app

	writes  int
	writing sync.WaitGroup
}

func (n *fighter) round() (on bool) {
	if !n.goesOn() {
		return false
	}
	n.renew()
	for range fightersApps / 2 {
		app := fmt.Sprint("app", n.rnd.IntN(fightersApps))
		if n.epochs[app] == 0 || n.rnd.IntN(4) == 0 {
			n.claim(app)
		}
		if n.epochs[app] != 0 {
			n.write(app)
		}
	}
	if n.rnd.IntN(2) == 0 {
		time.Sleep(fightLease + time.Duration(n.rnd.IntN(60))*time.Millisecond)
	}
	return true
}

func (n *fighter) renew() {
	ask := n.p.Leases.Renew
	if !n.joined {
		ask = n.p.Leases.Join
	}
	sent := time.Now()
	v, err := ask(ctx, store.FleetNode{Name: n.name}, fightLease)
	var taken *store.TakenError
	switch {
	case errors.Is(err, store.ErrLeaseOver), errors.As(err, &taken):
		n.joined = false
		return
	case err != nil:
		n.fail(err)
		return
	}
	n.joined = true
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range v.Apps {
		n.see(a.Name, a.Epoch)
		if a.Node == n.name {
			n.beliefs = append(n.beliefs, belief{a.Name, n.name, a.Epoch, sent.Add(fightLease)})
		}
	}
}

// see takes note of an epoch that was read after all those seen before. n.mu is held.
func (n *fighter) see(app string, epoch uint64) {
	if epoch < n.seen[app] {
		n.found.Backward++
	}
	n.seen[app] = epoch
}

func (n *fighter) claim(app string) {
	c := claim{app: app, node: n.name}
	epoch, err := n.p.Leases.Claim(ctx, app)
	c.epoch, c.answered = epoch, time.Now()
	var taken *store.TakenError
	switch {
	case errors.As(err, &taken), errors.Is(err, store.ErrLeaseOver):
		return
	case err != nil:
		n.fail(err)
		return
	}
	n.epochs[app] = epoch
	if c.older, err = written(n.p, app, epoch); err != nil {
		n.fail(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.see(app, epoch)
	n.claims = append(n.claims, c)
	if epoch > 1 {
		n.found.Takeovers++
	}
}

// written counts what was written for an app in epochs before the given one.
func written(p Process, app string, before uint64) (count int, err error) {
	err = p.Ledger(app, before).Load(ctx, func(r store.LedgerRecord) error {
		text, _, _ := strings.Cut(string(r.Key), " ")
		epoch, err := strconv.ParseUint(text, 10, 64)
		if epoch < before {
			count++
		}
		return err
	})
	return count, err
}

// write starts several writes, which only the end of the fight waits for.
func (n *fighter) write(app string) {
	epoch := n.epochs[app]
	for range 3 {
		n.writes++
		key := fmt.Appendf(nil, "%d %s %d", epoch, n.name, n.writes)
		n.writing.Go(func() {
			err := n.p.Ledger(app, epoch).Append(ctx, store.LedgerRecord{Key: key, Expires: time.Now().Add(time.Hour)})
			n.mu.Lock()
			defer n.mu.Unlock()
			switch {
			case err == nil:
				n.found.Writes++
			case errors.Is(err, store.ErrNotOurs):
				n.found.Refused++
			default:
				n.found.Err = errors.Join(n.found.Err, err)
			}
		})
	}
}

// judge counts what must not have happened.
func (w *fight) judge(p Process) {
	for _, c := range w.claims {
		count, err := written(p, c.app, c.epoch)
		if err != nil {
			w.found.Err = errors.Join(w.found.Err, err)
			return
		}
		if count != c.older {
			w.found.Late++
		}
		for _, b := range w.beliefs {
			if b.app == c.app && b.epoch+1 == c.epoch && b.node != c.node && c.answered.Before(b.until) {
				w.found.Overlaps++
			}
		}
	}
}
