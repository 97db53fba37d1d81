//go:build !race

package servertest

// Raced is false: the race detector does not run.
const Raced = false
