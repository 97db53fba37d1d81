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

// Only Linux tells what the peer has acknowledged. Elsewhere the callers assume what
// loses nothing.
func unacknowledged(int) (n int, ok bool) { return 0, false }

func progressOf(int) (p progress, ok bool) { return progress{}, false }
