//go:build !race

package apnssim

const raceEnabled = false
