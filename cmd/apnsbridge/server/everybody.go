package server

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"apnsbridge/gateway/identity"
)

// everybody warns of networks that are so wide that anybody may be in them.
func (a *Assembly) everybody() (all []warning) {
	look := func(setting string, network netip.Prefix, means string) {
		if isEverybody(network) {
			all = append(all, warning{setting: setting, text: fmt.Sprintf("%s: %s %s: name the networks that are meant",
				setting, network, means)})
		}
	}
	for _, network := range a.config.TLS.Terminated {
		look("tls.terminated", network, "lets everybody speak without TLS")
	}
	for _, address := range slices.Concat(a.config.Gateway.Listen, a.config.Feedback.Listen) {
		for _, network := range address.ProxyProtocol {
			look("proxy_protocol of "+address.Address, network, "lets everybody say which address they come from")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.config.Apps)) {
		for i, client := range a.config.Apps[name].Clients {
			if network, err := netip.ParsePrefix(client.CIDR); err == nil {
				look(fmt.Sprintf("apps.%s.clients[%d]", name, i), network, "admits everybody who can connect")
			}
		}
	}
	return all
}

// isEverybody reports whether a network is wider than that of any single owner: an IPv4 /8,
// an IPv6 /16.
func isEverybody(network netip.Prefix) bool {
	network = identity.Network(network)
	if network.Addr().Is4() {
		return network.Bits() < 8
	}
	return network.Bits() < 16
}
