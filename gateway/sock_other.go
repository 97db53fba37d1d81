//go:build !linux

package gateway

import "time"

func cork(int)   {}
func uncork(int) {}
func hasten(int) {}

func received(int) int { return 0 }

func finCame(int) bool { return false }

func roundTrip(int) (trip time.Duration, ok bool) { return 0, false }

func writtenTo(int) (n int64, ok bool) { return 0, false }

// Elsewhere it cannot be known what the peer has acknowledged. The callers then
// take the side on which nothing is lost.
func unacknowledged(int) (n int, ok bool) { return 0, false }

func progressOf(int) (p progress, ok bool) { return progress{}, false }
