package server

import (
	"apnsbridge/bridge"
	"apnsbridge/fleet/link"
	"apnsbridge/gateway"
	"apnsbridge/store"
)

// To both sides a session that is carried over a link is like one that is not. The test is that
// this compiles.
var (
	_ gateway.Session = link.Session(nil)
	_ link.Session    = (*bridge.Session)(nil)
	_ bridge.Peer     = link.Peer(nil)
	_ store.Reader    = link.Reader(nil)
	_ link.Reader     = (*gateway.FeedbackConn)(nil)
	_ link.Provider   = (*gateway.Conn)(nil)
)
