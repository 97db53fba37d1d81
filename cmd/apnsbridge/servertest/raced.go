//go:build race

package servertest

// Raced reports whether the race detector runs, which needs several times the memory.
const Raced = true
