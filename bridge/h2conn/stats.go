package h2conn

import "time"

// Stats is a snapshot of a connection: counters since it was made, figures of
// now, and the bounds they run against.
type Stats struct {
	State State

	Requests uint64    // taken by Submit
	Ended    [6]uint64 // by Fate
	Refused  uint64    // of those Unprocessed, by REFUSED_STREAM
	Bursts   uint64    // calls of Complete
	Flushes  uint64    // writes
	Written  uint64    // bytes, before TLS
	Read     uint64    // bytes, with TLS
	Pings    uint64    // sent
	GoAways  uint64    // received

	Open, Room, Limit                int   // streams: open, free, and allowed to be open now
	PendingBytes, WriteBytes         int   // waiting to be written, and its bound
	Control, ControlBytes            int   // of those, answers to the server, and their bound
	BlockedBodies                    int   // streams in line for the connection's window
	SendWindow                       int64 // bytes of bodies the server allows
	WaitingRoundTrips, MaxRoundTrips int
	RTT                              time.Duration // of the last PING, 0 if there was none
}

// Stats returns a snapshot.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &c.m
	st := m.stats
	st.State = m.state
	st.Written = m.handed
	st.Read = c.trunk.read.Load()
	st.Open, st.Room, st.Limit = m.open, m.room(), m.limit()
	st.PendingBytes, st.WriteBytes = len(m.out), m.cfg.WriteBytes
	st.Control, st.ControlBytes = m.control, m.cfg.ControlBytes
	st.BlockedBodies, st.SendWindow = len(m.flow.queue), m.flow.window
	st.WaitingRoundTrips, st.MaxRoundTrips = len(c.waiting), m.cfg.WaitingRoundTrips
	st.RTT = time.Duration(m.health.rtt)
	return st
}
