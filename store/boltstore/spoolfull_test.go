package boltstore

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

// On a full disk, Put fails and nothing is lost; with space again, the spool recovers.
func TestSpoolDiskFull(t *testing.T) {
	t.Parallel()
	disk := storetest.NewDisk(t, 8<<20)
	s := openTestSpool(t, disk.Dir, Options{SpoolBytes: 64 << 20})
	keys := putAll(t, s, mailLine, spoolRecords(0, 1000))
	disk.Fill()
	large := spoolRecords(1000, 200)
	for i := range large {
		large[i].Body = make([]byte, 4000)
	}
	move := spoolRecords(0, 500)
	for i := range move {
		move[i].SpoolKey = keys[i]
		move[i].Queued, move[i].Body = true, make([]byte, 4000)
	}
	for range 3 {
		for name, list := range map[string][]store.SpoolRecord{"put": large, "move": move} {
			err := s.Put(ctx, store.SpoolBatch{Line: mailLine, Records: slices.Clone(list)})
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%s: got %v, want %v", name, err, syscall.ENOSPC)
			}
			sentence(t, err, disk.Dir, "no space left on device")
		}
	}
	if err := s.Failing(); err != syscall.ENOSPC {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
	s.Done(mailLine, keys[900:]...)
	s.Return(mailLine, keys[:900]...)
	if whole, broken := takeAll(t, s, mailLine); len(whole) != 900 || len(broken) != 0 {
		t.Errorf("got %d whole and %d broken records, want 900 and none", len(whole), len(broken))
	}
	disk.Free()
	await(t, "the spool recovers", func() bool { return s.Failing() == nil })
	putAll(t, s, mailLine, large)
	s = openTestSpool(t, copyOf(t, s), Options{})
	if whole, broken := takeAll(t, s, mailLine); len(whole) != 1100 || len(broken) != 0 {
		t.Errorf("got %d whole and %d broken records, want 1100 and none", len(whole), len(broken))
	}
}

// On a full disk, records are deleted that lie in as many pages of queues.db as there are of them:
// however little room was kept, what is done is said.
func TestScatteredDoneOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := storetest.NewDisk(t, 64<<20)
	o := Options{SpoolDevice: 1 << 40}
	s := openTestSpool(t, disk.Dir, o)
	const count, each = 20_000, 10
	list := spoolRecords(0, count)
	for i := range list {
		list[i].Queued, list[i].Body = true, make([]byte, 500)
	}
	putAll(t, s, mailLine, list)
	disk.Fill()
	var done []store.SpoolKey
	for i := 0; i < count; i += each {
		done = append(done, list[i].SpoolKey)
	}
	s.Done(mailLine, done...)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	disk.Free()
	s = openTestSpool(t, disk.Dir, o)
	if whole, broken := takeAll(t, s, mailLine); len(whole) != count-len(done) || len(broken) != 0 {
		t.Errorf("got %d whole and %d broken records, want %d and none", len(whole), len(broken), count-len(done))
	}
	if err := s.Close(); err != nil { // before the disk goes
		t.Error(err)
	}
}

// On a disk that the spool itself has filled, records can be marked as done, and then there is room
// again, whether or not the spool stays open.
func TestSpoolFillsDisk(t *testing.T) {
	t.Parallel()
	for _, queued := range []bool{false, true} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("queued %v, opened again %v", queued, again), func(t *testing.T) {
				disk := storetest.NewDisk(t, 16<<20)
				o := Options{SpoolDevice: 1 << 40}
				s := openTestSpool(t, disk.Dir, o)
				var keys []store.SpoolKey
				for n := 1000; n > 0; {
					list := spoolRecords(len(keys), n)
					for i := range list {
						list[i].Queued, list[i].Body = queued, make([]byte, 500)
					}
					switch err := s.Put(ctx, store.SpoolBatch{Line: mailLine, Records: list}); {
					case errors.Is(err, syscall.ENOSPC):
						n /= 2
					case err != nil:
						t.Fatal(err)
					}
					for _, r := range list {
						if r.ID != 0 {
							keys = append(keys, r.SpoolKey)
						}
					}
				}
				disk.Fill()
				if len(keys) < 5000 {
					t.Errorf("%d records went in, want more", len(keys))
				}
				if !again {
					s.Done(mailLine, keys...)
					if err := s.Flush(ctx); err != nil {
						t.Error(err)
					}
					disk.Free()
					await(t, "the spool recovers", func() bool { return s.Failing() == nil })
					list := spoolRecords(0, 1000)
					for i := range list {
						list[i].Queued = queued // in the room that they had: queues.db does not shrink
					}
					putAll(t, s, mailLine, list)
					if got := s.Stats(); got.Lines[0].Log+got.Lines[0].Queued != 1000 {
						t.Errorf("got %+v, want 1000 records", got)
					}
					return
				}
				s.Done(mailLine, keys[1:]...)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				disk.Free()
				s = openTestSpool(t, disk.Dir, o)
				if whole, broken := takeAll(t, s, mailLine); len(whole) != 1 || len(broken) != 0 {
					t.Errorf("got %d whole and %d broken records, want 1 and none", len(whole), len(broken))
				}
				if err := s.Close(); err != nil { // before the disk goes
					t.Error(err)
				}
			})
		}
	}
}
