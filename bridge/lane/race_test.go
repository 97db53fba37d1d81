//go:build race

package lane

// The race detector has a sync.Pool lose some of what is put into it.
const raced = true
