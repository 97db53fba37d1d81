package boltstore

import (
	"os"
	"testing"
)

// A segment of an open spool is removed: what was in it is reported, and everything else can be taken and ended,
// and then its space is freed. Nothing waits that cannot be taken.
func TestSegmentRemoved(t *testing.T) {
	dir := t.TempDir()
	s := openTestSpool(t, dir, Options{SpoolBytes: 1 << 20}) // segments of 16 KiB
	for i := range 5 {
		s.Return(mailLine, putAll(t, s, mailLine, spoolRecords(300*i, 300))...)
	}
	paths := lineFiles(t, dir, "*.log")
	if len(paths) < 3 {
		t.Fatalf("there are %d segments, want more", len(paths))
	}
	if err := os.Remove(paths[1]); err != nil {
		t.Fatal(err)
	}
	whole, broken := takeAll(t, s, mailLine)
	if len(whole) < 900 || len(whole) > 1200 || len(broken) != 0 || s.Waiting(mailLine) != 0 {
		t.Errorf("got %d whole and %d broken records, and %d wait", len(whole), len(broken), s.Waiting(mailLine))
	}
	lost := uint64(5*300 - len(whole))
	if got := s.Stats(); got.Broken != lost || got.Kept == "" || got.Lines[0].Log != len(whole) {
		t.Errorf("got %+v, want %d reported as lost, and the rest", got, lost)
	}
	for _, r := range whole[1:] {
		s.Done(mailLine, r.SpoolKey)
	}
	await(t, "space is freed", func() bool { return s.Stats().Bytes < 32<<10 })
	if err := s.Failing(); err != nil {
		t.Errorf("the spool cannot be written: %v", err)
	}
}
