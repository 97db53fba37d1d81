//go:build race

package servertest

// Raced says that the race detector runs, which needs several times the memory.
const Raced = true
