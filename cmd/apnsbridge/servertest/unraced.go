//go:build !race

package servertest

// Raced reports whether the race detector runs.
const Raced = false
