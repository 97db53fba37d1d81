//go:build race

package gateway_test

func init() { atATime = "1" } // a program that looks for races computes most of the time, and waits little
