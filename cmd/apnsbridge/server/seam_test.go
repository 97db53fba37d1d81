package server

import (
	"apnsbridge/bridge"
	"apnsbridge/fleet/link"
	"apnsbridge/gateway"
	"apnsbridge/store"
)

// A session that is carried over a link is to both sides what it is without one:
// nothing here is more than this package's compilation.
var (
	_ gateway.Session = link.Session(nil)
	_ link.Session    = (*bridge.Session)(nil)
	_ bridge.Peer     = link.Peer(nil)
	_ store.Reader    = link.Reader(nil)
	_ link.Reader     = (*gateway.FeedbackConn)(nil)
	_ link.Provider   = (*gateway.Conn)(nil)
)
