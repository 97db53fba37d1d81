// Package fuzz holds the fuzz targets of the wire. What they are compared with
// is a second decoder, slow and plain, written from the protocol alone.
//
// fuzz/run runs every fuzz target of the repository. Without it, go test runs
// their seeds: the recorded streams of binproto/testdata, and one good and one
// bad example of everything. An input that has failed once stays in testdata.
package fuzz
