package metrics

import (
	"cmp"
	"crypto/tls"
	"maps"
	"slices"

	"apnsbridge/gateway"
)

var ports = group{"Ports for providers", []family{
	perPort(gauge, "connections_open", "Connections, admitted or not yet.",
		func(p *gateway.PortStats) float64 { return float64(p.Connections) }),
	portParts(gauge, "connections", "Connections of admitted clients, by their version of TLS.", "tls",
		func(p *gateway.PortStats) []part { return byVersion(p.Open) }),
	portParts(counter, "connections_admitted_total", "Connections of clients that were admitted.", "tls",
		func(p *gateway.PortStats) []part { return byVersion(p.Admitted) }),
	of(counter, "old_tls_connections_total", "Connections, on both ports, with TLS 1.0, 1.1, or a cipher of "+
		"tls.legacy_ciphers, by what they use and the JA3 of their hello; beyond 1,000 kinds ja3 is other.",
		[]string{"app", "version", "cipher", "ja3"}, func(s *view, to sink) {
			for _, use := range slices.SortedFunc(maps.Keys(s.OldTLS), func(a, b OldTLS) int {
				return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Version, b.Version),
					cmp.Compare(a.Cipher, b.Cipher), cmp.Compare(a.Client, b.Client))
			}) {
				to.set(float64(s.OldTLS[use]), use.App, use.Version, use.Cipher, use.Client)
			}
		}),
	whole(counter, "sha1_signatures_total", "Handshakes of TLS 1.2 that were signed with SHA-1, in the whole process.",
		func(s *view) float64 { return float64(s.SHA1) }),
	perPort(counter, "connections_accepted_total", "Connections that were let in for a handshake.",
		func(p *gateway.PortStats) float64 { return float64(p.Accepted) }),
	perPort(counter, "accept_errors_total", "Failures to accept: mostly there is no descriptor left.",
		func(p *gateway.PortStats) float64 { return float64(p.AcceptErrors) }),
	portParts(counter, "connections_refused_total", "Connections that came to nothing, by reason: not one of the "+
		"app's clients (not_admitted), a bound (connections, connections_per_address, connections_per_client, "+
		"app_connections_share, handshake_rate_per_address, handshakes), time, or a handshake that failed: something "+
		"older than TLS, no TLS at all, a bad PROXY header, a client that does not trust our certificate (untrusted), or "+
		"else (handshake).", "reason",
		func(p *gateway.PortStats) []part {
			told := p.OlderThanTLS + p.WithoutTLS + p.BadProxyHeaders + p.Mistrusted
			return []part{
				{"not_admitted", float64(p.Refused)}, {"connections", float64(p.OverLimit)},
				{"connections_per_address", float64(p.OverLimitPerAddress)},
				{"connections_per_client", float64(p.OverLimitPerClient)},
				{"app_connections_share", float64(p.OverShare)}, {"handshake_rate_per_address", float64(p.HandshakesOverRate)},
				{"handshakes", float64(p.HandshakesDropped)}, {"time", float64(p.HandshakesTimedOut)},
				{"untrusted", float64(p.Mistrusted)}, {"older_than_tls", float64(p.OlderThanTLS)},
				{"no_tls", float64(p.WithoutTLS)},
				{"proxy_header", float64(p.BadProxyHeaders)},
				{"handshake", float64(p.HandshakesFailed - min(told, p.HandshakesFailed))},
			}
		}),
	portParts(gauge, "handshakes", "Connections before the end of their handshake: silent, waiting for their turn, or "+
		"running.", "state",
		func(p *gateway.PortStats) []part {
			return []part{{"silent", float64(p.AwaitingHello)}, {"waiting", float64(p.HandshakesWaiting)},
				{"running", float64(p.Handshakes)}}
		}),
	perPort(counter, "handshakes_total", "Handshakes that were completed.",
		func(p *gateway.PortStats) float64 { return float64(p.HandshakesDone) }),
	perPort(counter, "handshakes_resumed_total", "Of those, that resumed a session.",
		func(p *gateway.PortStats) float64 { return float64(p.ResumedTLS) }),
	perPort(counter, "handshakes_delayed_total", "Handshakes that had to wait: limits.handshake_rate_per_address.",
		func(p *gateway.PortStats) float64 { return float64(p.HandshakesDelayed) }),
	perPort(gauge, "addresses_paced", "Addresses whose rate of handshakes is known.",
		func(p *gateway.PortStats) float64 { return float64(p.AddressesPaced) }),
	perPort(gauge, "hello_bytes", "Memory of hellos longer than 512 bytes.",
		func(p *gateway.PortStats) float64 { return float64(p.HelloBytes) }),
	perPort(counter, "connections_proxied_total", "Connections whose address came in a PROXY header.",
		func(p *gateway.PortStats) float64 { return float64(p.Proxied) }),
	whole(counter, "revoked_connections_total", "Connections ended because a reload does not admit them any more.",
		func(s *view) float64 { return float64(s.Revoked.Connections) }),
	whole(counter, "revoked_frames_total", "Frames sent on these in spite of it, and not taken.",
		func(s *view) float64 { return float64(s.Revoked.Frames) }),
}}

// byVersion names versions of TLS; 0 is none.
func byVersion[N int | uint64](counts map[uint16]N) (all []part) {
	for _, version := range slices.Sorted(maps.Keys(counts)) {
		name := "none"
		if version != 0 {
			name = tls.VersionName(version)
		}
		all = append(all, part{name, float64(counts[version])})
	}
	return all
}

var push = group{"The push port", []family{
	parts(gauge, "provider_connections", "Connections that are not read because their sessions have no room (parked), "+
		"whose provider has ended its side (half_closed), or whose side we have ended (lingering).", "state",
		func(s *view) []part {
			p := &s.Push
			return []part{{"parked", float64(p.Parked)}, {"half_closed", float64(p.HalfClosed)},
				{"lingering", float64(p.Lingering)}}
		}),
	whole(counter, "parks_total", "How often a connection was not read further for want of room.",
		func(s *view) float64 { return float64(s.Push.Parks) }),
	whole(gauge, "unparsed_bytes", "Bytes that are not yet a frame, of all connections.",
		func(s *view) float64 { return float64(s.Push.UnparsedBytes) }),
	whole(counter, "received_bytes_total", "Bytes received, as TLS records.",
		func(s *view) float64 { return float64(s.Push.BytesIn) }),
	whole(counter, "frames_total", "Frames received in full, good or not.",
		func(s *view) float64 { return float64(s.Push.Frames) }),
	whole(counter, "frames_rejected_total", "Of those, refused at parsing.",
		func(s *view) float64 { return float64(s.Push.Rejected) }),
	whole(counter, "frames_large_total", "Frames that needed memory of their own.",
		func(s *view) float64 { return float64(s.Push.LargeFrames) }),
	whole(counter, "frames_cut_total",
		"Frames that were not complete when the provider ended its side or the connection broke.",
		func(s *view) float64 { return float64(s.Push.CutFrames) }),
	parts(counter, "stream_violations_total", "Streams that could not be read further.", "reason",
		func(s *view) []part {
			v := &s.Push.Violations
			return []part{{"unknown_command", float64(v.UnknownCommand)}, {"item_overrun", float64(v.ItemOverrun)},
				{"frame_too_long", float64(v.FrameTooLong)}}
		}),
	whole(counter, "packets_written_total", "Error packets that were written.",
		func(s *view) float64 { return float64(s.Push.Packets) }),
	whole(counter, "connections_reset_total", "Connections that the provider or the network broke.",
		func(s *view) float64 { return float64(s.Push.Resets) }),
	whole(counter, "connections_reset_unread_total", "Of those, connections of which not one frame had come: what was "+
		"written is lost.",
		func(s *view) float64 { return float64(s.Push.ResetsUnread) }),
	whole(counter, "connections_cut_off_total", "Connections that the gateway's end has cut before their providers had "+
		"ended them.",
		func(s *view) float64 { return float64(s.Push.CutOff) }),
	whole(counter, "lingering_ended_total", "Connections ended because they were silent for too long after we had "+
		"ended our side.",
		func(s *view) float64 { return float64(s.Push.LingerEnded) }),
}}
