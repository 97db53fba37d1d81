//go:build race

package lane

// Under the race detector a sync.Pool loses some of what is put into it.
const raced = true
