package server

import (
	"fmt"
	rtmetrics "runtime/metrics"
	"strings"
	"time"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/cmd/apnsbridge/page"
)

// snapshot reads the figures of all parts.
func (s *Service) snapshot() *metrics.Snapshot {
	a := s.current.Load()
	m := &metrics.Snapshot{
		Version: s.version,
		Bridge:  s.bridge.Stats(), Push: s.push.Stats(), Feedback: s.feedback.Stats(), Store: s.store.Stats(),
		Credentials: a.credentialExpiries(), Certificates: a.certificateExpiries(),
		Reloads: s.reloads.figures(), OldTLS: s.old.figures(), SHA1: sha1Signatures(),
		Revoked: s.roll.stats(), Log: s.lines.Figures(), Fleet: s.fleet.figures(),
	}
	if s.fleet != nil {
		m.Store.Spool = s.fleet.spool.Stats()
	}
	m.Troubles = s.troubles(m.Bridge)
	if s.admin != nil {
		m.Admin = s.admin.stats()
	}
	m.Limits = a.limits(m)
	return m
}

// limits returns the bounds whose present use is known.
func (a *Assembly) limits(m *metrics.Snapshot) []metrics.Limit {
	l, push, feedback := a.config.Limits, &m.Push.PortStats, &m.Feedback.PortStats
	var badTokens, ahead, connections int64
	for _, app := range m.Bridge.Apps {
		badTokens = max(badTokens, int64(app.BadTokensListed))
		for _, lane := range [...]*bridge.LaneStats{&app.Lanes.Production, &app.Lanes.Sandbox} {
			ahead = max(ahead, lane.AheadBytes)
			connections = max(connections, int64(lane.Pool.Connections))
		}
	}
	busier := func(push, feedback int) int64 { return int64(max(push, feedback)) }
	return []metrics.Limit{
		{Name: "connections", Used: busier(push.Connections, feedback.Connections), Max: int64(l.Connections)},
		{Name: "connections_per_address", Used: busier(push.ConnectionsOfBusiest, feedback.ConnectionsOfBusiest),
			Max: int64(l.ConnectionsPerAddress)},
		{Name: "connections_per_client", Used: busier(push.ConnectionsOfBusiestClient, feedback.ConnectionsOfBusiestClient),
			Max: int64(l.ConnectionsPerClient)},
		{Name: "handshakes", Used: busier(push.Handshakes, feedback.Handshakes), Max: int64(l.Handshakes)},
		{Name: "handshakes_per_address", Used: busier(push.HandshakesOfBusiest, feedback.HandshakesOfBusiest),
			Max: int64(l.HandshakesPerAddress)},
		{Name: "queued_bytes", Used: m.Bridge.QueuedBytes, Max: int64(l.QueuedBytes)},
		{Name: "waiting_devices", Used: int64(m.Bridge.Retrying), Max: int64(l.WaitingDevices)},
		{Name: "spool_ahead", Used: ahead, Max: int64(l.SpoolAhead)},
		{Name: "spool.max_bytes", Used: m.Store.Spool.Bytes, Max: m.Store.Spool.Bound},
		{Name: "ledger_bytes", Used: m.Bridge.LedgerBytes, Max: int64(l.LedgerBytes)},
		{Name: "bad_token_entries", Used: badTokens, Max: int64(l.BadTokenEntries)},
		{Name: "apns_connections", Used: connections, Max: int64(l.APNsConnections)},
		{Name: "trace_entries", Used: int64(m.Bridge.Traced), Max: int64(l.TraceEntries)},
		{Name: "admin_connections", Used: int64(m.Admin.Connections), Max: int64(l.AdminConnections)},
	}
}

// nearlyUsed returns remarks on the bounds of which more than four fifths are used now, in the words of the alert. Two
// bounds are left out because they fill up in good health: the read-ahead of the spool, and the memory of a trace.
func nearlyUsed(limits []page.Limit) (all []page.Remark) {
	for _, l := range limits {
		if l.Name == "spool_ahead" || l.Name == "trace_entries" || l.Max <= 0 || 5*l.Used <= 4*l.Max {
			continue
		}
		name := l.Name
		if !strings.Contains(name, ".") {
			name = "limits." + name
		}
		all = append(all, page.Remark{Level: page.Warn,
			Text: fmt.Sprintf("%d %% of %s is used: raise it, or see what uses it; "+
				"beyond it providers have to wait or are refused", 100*l.Used/l.Max, name)})
	}
	return all
}

// certificateExpiries returns when the certificates that this gateway shows expire, by
// section of the configuration.
func (a *Assembly) certificateExpiries() map[string]time.Time {
	expiries := make(map[string]time.Time)
	certificates := a.serverCertificates()
	for i, files := range providerFiles(a.config) {
		if leaf := certificates[i].Leaf; leaf != nil {
			expiries[files.section] = leaf.NotAfter
		}
	}
	if leaf := a.admin.certificate.Leaf; leaf != nil {
		expiries["admin"] = leaf.NotAfter
	}
	if a.fleet != nil && a.fleet.certificate.Leaf != nil {
		expiries["fleet"] = a.fleet.certificate.Leaf.NotAfter
	}
	return expiries
}

// sha1Signatures returns how many TLS 1.2 handshakes were signed with SHA-1.
func sha1Signatures() uint64 {
	sample := []rtmetrics.Sample{{Name: "/godebug/non-default-behavior/tlssha1:events"}}
	if rtmetrics.Read(sample); sample[0].Value.Kind() != rtmetrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
