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

// Owner names the node that has an app, or may claim it next, if that node lives: as far
// as the latest view tells, or this node knows that has given it since.
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

// living is the node of that name, if its lease ran at the latest view.
func (l *Lease) living(name string) (node store.FleetNode, ok bool) {
	i := slices.IndexFunc(l.view.Nodes, func(n store.FleetNode) bool { return n.Name == name })
	if i < 0 {
		return node, false
	}
	return l.view.Nodes[i], true
}

// Claims are the apps that the node is to claim though no session asks for them, in
// the order of their names: what was given to it or was its own in an earlier life, and
// what it is heir to, or what the heir has not claimed for as long as a lease: it may not
// be configured with it. serves reports whether this node is.
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

// Spared reports whether an app is not to be claimed now, though the node that had it has no
// lease: this node could not ask the store either until a moment ago. The other is likely to
// live, and knows of the app what it could not write down meanwhile; in the time of a lease
// it will have come back.
func (l *Lease) Spared(app string, now Instant) bool {
	a, ok := l.latest(app)
	if !ok || a.Node == "" || a.Node == l.node || now >= l.sparing {
		return false
	}
	_, lives := l.living(a.Node)
	return !lives
}

// Strays are the apps that the store gives to this node, which has not claimed them and is
// not configured with them: as long as it lives no other node would have them.
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

// heir is the living node that takes an app over from a dead one: the highest hash of
// both names, so that a dead node's apps go to all of the others alike.
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

// mix spreads the last bytes of what was hashed, which FNV leaves in the low bits
// (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
