//go:build !linux

package h2conn

import "net"

// Elsewhere the mark also delays what select and its like say of the end of a
// connection, or has no effect.
type lowWater struct{}

func newLowWater(net.Conn) lowWater { return lowWater{} }

func (lowWater) set(int) bool { return false }
