//go:build race

package apnssim

// The race detector allocates on its own account.
const raceEnabled = true
