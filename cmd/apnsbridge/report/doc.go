// Package report remembers which providers still speak the old protocol, and how: from
// where, with which certificate and TLS, in which frames, how much a day, and which
// library that looks like. It is bounded, has no file and no clock of its own, and says
// what it knows as JSON, so that it outlives a restart.
package report
