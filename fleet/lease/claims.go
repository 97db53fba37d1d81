package lease

import (
	"hash/fnv"
	"slices"
	"strings"

	"apnsbridge/store"
)

// latest is what the latest view says of an app.
func (l *Lease) latest(app string) (store.FleetApp, bool) {
	i, ok := slices.BinarySearchFunc(l.view.Apps, app,
		func(a store.FleetApp, name string) int { return strings.Compare(a.Name, name) })
	if !ok {
		return store.FleetApp{}, false
	}
	return l.view.Apps[i], true
}

// Owner returns the node that has an app, or may claim it next, if that node lives. It goes by
// the latest view or, if this node has given the app away since, by whom it was given to.
func (l *Lease) Owner(app string) (node store.FleetNode, ok bool) {
	a, ok := l.latest(app)
	if !ok {
		return node, false
	}
	if h := l.held[app]; h != nil && h.state == given {
		return l.living(h.to) // until a view shows that the store knows
	}
	return l.living(a.Node)
}

// living returns the node of that name, if it had a lease in the latest view.
func (l *Lease) living(name string) (node store.FleetNode, ok bool) {
	i := slices.IndexFunc(l.view.Nodes, func(n store.FleetNode) bool { return n.Name == name })
	if i < 0 {
		return node, false
	}
	return l.view.Nodes[i], true
}

// Claims are the apps that the node is to claim though no session asks for them, sorted by
// name: those that were given to it or that it had in an earlier life, those that it is heir
// to, and those that their heir has not claimed within the length of a lease, perhaps because
// it is not configured with them. serves reports whether this node is.
func (l *Lease) Claims(now Instant, serves func(app string) bool) (apps []string) {
	if now >= l.deadline {
		return nil
	}
	for _, a := range l.view.Apps {
		if h := l.held[a.Name]; h != nil || !serves(a.Name) || l.Spared(a.Name, now) {
			continue
		}
		_, owned := l.living(a.Node)
		if a.Node == l.node || !owned && (l.heir(a.Name) == l.node || now-l.orphans[a.Name] >= l.rules.Length) {
			apps = append(apps, a.Name)
		}
	}
	return apps
}

// Spared reports whether an app must not be claimed yet, though the node that had it has no
// lease: until a moment ago this node could not reach the store either. The other node is
// probably alive, knows things about the app that it could not write down meanwhile, and will
// be back within the length of a lease.
func (l *Lease) Spared(app string, now Instant) bool {
	a, ok := l.latest(app)
	if !ok || a.Node == "" || a.Node == l.node || now >= l.sparing {
		return false
	}
	_, lives := l.living(a.Node)
	return !lives
}

// Strays are the apps that belong to this node in the store though it has not claimed them and
// is not configured with them: as long as it lives, no other node would take them.
func (l *Lease) Strays(now Instant, serves func(app string) bool) (apps []store.FleetApp) {
	if now >= l.deadline {
		return nil
	}
	for _, a := range l.view.Apps {
		if a.Node == l.node && l.held[a.Name] == nil && !serves(a.Name) {
			apps = append(apps, a)
		}
	}
	return apps
}

// heir is the living node that takes an app over from a dead one: the one with the highest
// hash of both names, which spreads a dead node's apps evenly over the others.
func (l *Lease) heir(app string) (name string) {
	highest := uint64(0)
	for _, n := range l.view.Nodes {
		h := fnv.New64a()
		h.Write([]byte(n.Name))
		h.Write([]byte{0})
		h.Write([]byte(app))
		if sum := mix(h.Sum64()); name == "" || sum > highest {
			name, highest = n.Name, sum
		}
	}
	return name
}

// mix spreads the effect of the last bytes hashed, which FNV leaves in the low bits, over all
// bits (it is the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
