package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

// addresses remembers which of a name's addresses were no good lately.
type addresses struct {
	mu  sync.Mutex
	bad map[netip.AddrPort]time.Time // when they were
}

// lookUp gives the target's addresses, IPv6 and IPv4 in turn (RFC 8305, 4), in the
// order in which the resolver prefers them.
func (t *target) lookUp(ctx context.Context) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(t.address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %.20q: %w", service, err)
	}
	lookup := t.lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	found, err := lookup(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var six, four, all []netip.AddrPort
	for _, ip := range found {
		if ip = ip.Unmap(); ip.Is4() {
			four = append(four, netip.AddrPortFrom(ip, uint16(port)))
		} else {
			six = append(six, netip.AddrPortFrom(ip, uint16(port)))
		}
	}
	first, second := six, four
	if len(found) > 0 && found[0].Unmap().Is4() {
		first, second = four, six
	}
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			all = append(all, first[i])
		}
		if i < len(second) {
			all = append(all, second[i])
		}
	}
	return all, nil
}

// best puts those that were no good lately behind the others, the longest ago
// first, and leaves out what is too many.
func (t *target) best(all []netip.AddrPort) []netip.AddrPort {
	a := &t.addresses
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for address, when := range a.bad {
		if now.Sub(when) >= avoidFor {
			delete(a.bad, address)
		}
	}
	slices.SortStableFunc(all, func(x, y netip.AddrPort) int { return a.bad[x].Compare(a.bad[y]) })
	return all[:min(len(all), maxAddresses)]
}

// avoid notes that an address was no good.
func (t *target) avoid(address netip.AddrPort, now time.Time) {
	a := &t.addresses
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bad == nil || len(a.bad) >= 8*maxAddresses { // names do not have so many: they change
		a.bad = make(map[netip.AddrPort]time.Time)
	}
	a.bad[address] = now
}

// forgive notes that an address is good.
func (t *target) forgive(address netip.AddrPort) {
	t.addresses.mu.Lock()
	defer t.addresses.mu.Unlock()
	delete(t.addresses.bad, address)
}
