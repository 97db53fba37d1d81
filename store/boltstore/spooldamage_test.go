package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

// fillSpool makes a spool in dir with blobs of all sizes in some queues, of which
// some are done.
func fillSpool(t testing.TB, dir string) {
	t.Helper()
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := st.Spool()
	next := 0
	for round := range 6 {
		for _, n := range []int{1, 2, 10, 100, 1030} {
			b := waiting(next, n, 60)
			b.Queue = "queue " + strconv.Itoa(round%3)
			next += n
			ids := putAll(t, s, b)
			if round%2 == 0 {
				s.Done(b.Queue, ids[:len(ids)/2]...)
			}
			if n == 10 {
				s.Done(b.Queue, ids...)
			}
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// spoolSurvives opens a spool and uses all that is in it.
func spoolSurvives(t *testing.T, name, dir string, b []byte) (opened bool) {
	t.Helper()
	st := openDamaged(t, name, dir)
	if st == nil {
		return true
	}
	s := st.Spool()
	for _, queue := range s.Queues() {
		want := s.Waiting(queue)
		list, err := s.Take(ctx, queue, math.MaxInt, unlimited)
		if err != nil || len(list) != want {
			t.Errorf("%s: got %d records and error %v, want %d", name, len(list), err, want)
		}
		for _, r := range list {
			if !bytes.Equal(r.Token, token(number(t, r))) {
				t.Errorf("%s: record %.20q has token %x", name, r.Body, r.Token)
			}
		}
		putAll(t, s, waiting(0, 5, 100))
		for i, r := range list {
			if i%3 > 0 {
				s.Done(queue, r.ID)
			}
		}
		if err := s.Flush(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	return closeDamaged(t, name, st, b)
}

// number is that of a record.
func number(t testing.TB, r store.SpoolRecord) int {
	t.Helper()
	i, err := strconv.Atoi(string(bytes.TrimRight(r.Body, "\x00")))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// Only the damaged one of the two files is set aside.
func TestOneFileDamaged(t *testing.T) {
	for _, tt := range []struct {
		damaged          []string
		entries, waiting int
	}{
		{nil, 6, 3},
		{[]string{fileName}, 0, 3},
		{[]string{spoolFileName}, 6, 0},
		{[]string{fileName, spoolFileName}, 0, 0},
	} {
		t.Run(strings.Join(tt.damaged, " "), func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, 3)
			st, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			putAll(t, st.Spool(), waiting(0, 3, 10))
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			for _, name := range tt.damaged {
				if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 1<<16), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if st, err = Open(dir, Options{FeedbackAge: 100 * 365 * 24 * time.Hour}); err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			if len(st.SetAside()) != len(tt.damaged) {
				t.Fatalf("got %v set aside, want %q", st.SetAside(), tt.damaged)
			}
			for i, aside := range st.SetAside() {
				path := filepath.Join(dir, tt.damaged[i])
				sentence(t, aside, path+" is damaged: ", "it is kept as "+path+damagedInfix)
			}
			if got := st.Stats(); got.DamagedFiles != len(tt.damaged) || got.FeedbackEntries != tt.entries || got.Spool.Waiting != tt.waiting {
				t.Errorf("got %+v, want %d entries and %d records", got, tt.entries, tt.waiting)
			}
		})
	}
}

// Well-formed bbolt files that say what cannot be.
func TestSpoolInconsistent(t *testing.T) {
	queue := func(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket(spoolBucket).Bucket([]byte(testQueue)) }
	key := appendU64(nil, 1)
	for name, damage := range map[string]func(*bbolt.Tx) error{
		"a value for a queue": func(tx *bbolt.Tx) error { return tx.Bucket(spoolBucket).Put([]byte("queue"), nil) },
		"a value for a blob":  func(tx *bbolt.Tx) error { return queue(tx).Put(appendU64(nil, 3), []byte("short")) },
		"a short number": func(tx *bbolt.Tx) error {
			_, err := queue(tx).CreateBucket([]byte("short"))
			return err
		},
		"a number of the future": func(tx *bbolt.Tx) error { return tx.Bucket(spoolBucket).SetSequence(1) },
		"no blob":                func(tx *bbolt.Tx) error { return queue(tx).Bucket(key).Delete(blobKey) },
		"another's blob": func(tx *bbolt.Tx) error {
			return queue(tx).Bucket(key).Put(blobKey, bytes.Clone(queue(tx).Bucket(appendU64(nil, 2)).Get(blobKey)))
		},
		"another queue's blob": func(tx *bbolt.Tx) error {
			h := blobHead{number: 1}
			return queue(tx).Bucket(key).Put(blobKey, appendBlob(nil, h, "other", waiting(0, 3, 10).Records))
		},
		"a changed blob": func(tx *bbolt.Tx) error {
			b := bytes.Clone(queue(tx).Bucket(key).Get(blobKey))
			b[len(b)-1] ^= 1
			return queue(tx).Bucket(key).Put(blobKey, b)
		},
		"a short bitmap": func(tx *bbolt.Tx) error { return queue(tx).Put(bitmapKey(appendU64(nil, 1)), []byte("short")) },
		"another's bitmap": func(tx *bbolt.Tx) error {
			return queue(tx).Put(bitmapKey(appendU64(nil, 1)), appendBitmap(nil, 2, 3, bitmap{1}))
		},
		"a bitmap of more": func(tx *bbolt.Tx) error {
			return queue(tx).Put(bitmapKey(appendU64(nil, 1)), appendBitmap(nil, 1, 3, bitmap{9}))
		},
		"a bitmap of nothing": func(tx *bbolt.Tx) error {
			return queue(tx).Put(bitmapKey(appendU64(nil, 9)), appendBitmap(nil, 9, 3, bitmap{1}))
		},
		"a blob that is done": func(tx *bbolt.Tx) error {
			return queue(tx).Put(bitmapKey(appendU64(nil, 1)), appendBitmap(nil, 1, 3, bitmap{7}))
		},
		"a short version": func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put([]byte("version"), []byte{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			st, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			putAll(t, st.Spool(), waiting(0, 3, 10))
			putAll(t, st.Spool(), waiting(3, 3, 10))
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			editFile(t, filepath.Join(dir, spoolFileName), damage)
			if st, err = Open(dir, Options{}); err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			if len(st.SetAside()) != 1 || len(st.Spool().Queues()) != 0 {
				t.Errorf("got %v set aside and queues %q, want the file aside", st.SetAside(), st.Spool().Queues())
			}
		})
	}
}

// A page that goes bad later fails what needs it, and no more.
func TestSpoolDamageWhileOpen(t *testing.T) {
	dir := t.TempDir()
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := st.Spool()
	for i := range 3 {
		s.Return(testQueue, putAll(t, s, waiting(100*i, 100, 100))...)
	}
	path := filepath.Join(dir, spoolFileName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := bytes.Index(b, []byte("150\x00"))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("1"), int64(second+5)); err != nil {
		t.Fatal(err)
	}
	if got := len(takeAll(t, s, testQueue)); got != 100 {
		t.Errorf("got %d records before the damage, want 100", got)
	}
	for range 2 {
		_, err := s.Take(ctx, testQueue, 100, unlimited)
		sentence(t, err, path, "is damaged")
	}
	putAll(t, s, waiting(300, 1, 10))
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	if st, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if len(st.SetAside()) != 1 {
		t.Errorf("got %v set aside, want the file", st.SetAside())
	}
}

// With a full disk Puts fail and say so, and all else goes on. What was put stays,
// what is done is written when there is room.
func TestSpoolDiskFull(t *testing.T) {
	disk := storetest.NewDisk(t, 16<<20)
	dir := filepath.Join(disk.Dir, "data")
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := st.Spool()
	ids := putAll(t, s, waiting(0, 2000, 1000))
	disk.Fill()
	for range 3 {
		err := s.Put(ctx, waiting(9000, 5000, 1000))
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v, want %v", err, syscall.ENOSPC)
		}
		sentence(t, err, filepath.Join(dir, spoolFileName), "no space left on device")
	}
	if s.Failing() != syscall.ENOSPC || st.Failing() != syscall.ENOSPC {
		t.Errorf("got %v and %v, want %v", s.Failing(), st.Failing(), syscall.ENOSPC)
	}
	if got := s.Stats(); got.Out != 2000 || got.Failing == 0 || got.Failures < 3 {
		t.Errorf("got %+v, want 2,000 records, and it failing", got)
	}
	s.Done(testQueue, ids[:500]...)
	s.Return(testQueue, ids[500:]...)
	if got := takeAll(t, s, testQueue); len(got) != 1500 || number(t, got[0]) != 500 {
		t.Errorf("got %d records, want 1,500", len(got))
	}
	disk.Free()
	await(t, "it is well again", func() bool { return st.Failing() == nil })
	putAll(t, s, waiting(2000, 2000, 1000))
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	consistent(t, filepath.Join(dir, spoolFileName))
	if st, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	list := takeAll(t, st.Spool(), testQueue)
	if len(list) != 3500 || number(t, list[0]) != 500 || number(t, list[3499]) != 3999 {
		t.Errorf("got %d records, want 3,500", len(list))
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// The disk fills at any moment: what was said to be written is there afterwards,
// and nothing else.
func TestSpoolDiskFullAtRandom(t *testing.T) {
	rounds := 100
	if *long {
		rounds = 5000
	}
	disk := storetest.NewDisk(t, 24<<20)
	dir := filepath.Join(disk.Dir, "data")
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { st.Close() }()
	r := rand.New(rand.NewPCG(*seed, 1))
	full, failed, next := false, 0, 0
	out := make(map[int]uint64) // what we have, by number
	for n := range rounds {
		if r.IntN(4) == 0 {
			if full = !full; full {
				disk.Fill()
			} else {
				disk.Free()
			}
		}
		list := waiting(next, 1+r.IntN(800), 1000)
		next += len(list.Records)
		switch err := st.Spool().Put(ctx, list); {
		case errors.Is(err, syscall.ENOSPC): // blobs that last may fill the disk too
			failed++
		case err != nil:
			t.Fatalf("round %d: %v", n, err)
		default:
			for _, record := range list.Records {
				out[number(t, record)] = record.ID
			}
		}
		for i, id := range out {
			if r.IntN(10) == 0 || len(out) > 6000 {
				st.Spool().Done(testQueue, id)
				delete(out, i)
			}
		}
		if n%20 == 0 && !full {
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			if st, err = Open(dir, Options{}); err != nil {
				t.Fatal(err)
			}
			there := takeAll(t, st.Spool(), testQueue)
			for _, record := range there {
				i := number(t, record)
				if id, ok := out[i]; !ok || id != record.ID {
					t.Fatalf("round %d: record %d is there as %d, want %d", n, i, record.ID, id)
				}
			}
			if len(there) != len(out) {
				t.Fatalf("round %d: got %d records, want %d", n, len(there), len(out))
			}
		}
	}
	if failed == 0 {
		t.Error("the disk was never full")
	}
	t.Logf("%d of %d Puts failed", failed, rounds)
}

// What blobs say is what they were made of, and anything else is refused.
func FuzzBlob(f *testing.F) {
	h := blobHead{number: 7, put: 1, oldest: 2, soonest: 3, latest: 4}
	list := waiting(0, 3, 10).Records
	list[1].Expires = time.Unix(1_800_000_000, 0)
	f.Add(appendBlob(nil, h, testQueue, list))
	f.Add(appendBlob(nil, h, "q", []store.SpoolRecord{{}}))
	f.Add(appendBitmap(nil, 7, 70, bitmap{1, 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		bits := make(bitmap, 16)
		if err := readBitmap(b, 7, 70, bits); err == nil && b != nil && !bytes.Equal(appendBitmap(nil, 7, 70, bits), b) {
			t.Errorf("the bitmap %x is written %x", b, appendBitmap(nil, 7, 70, bits))
		}
		// The sum is made right, which no fuzzer would find.
		if len(b) >= blobFixed {
			b = bytes.Clone(b)
			head := blobFixed + int(binary.BigEndian.Uint16(b[18:])) + int(binary.BigEndian.Uint16(b[16:]))*recordHead
			sum(b[:min(head, len(b))])
		}
		h, err := checkBlob(b)
		if err != nil {
			return
		}
		var records []store.SpoolRecord
		memory := make([]byte, 0, len(b))
		done := make(bitmap, words(h.count))
		for i, r := range h.records(b) {
			if h.emptied(i) {
				done.add(i)
			}
			var record store.SpoolRecord
			memory, record = r.copyTo(memory, recordID(h.number&(1<<52-1), i))
			records = append(records, record)
		}
		again := appendBlob(nil, h, string(h.queue), records)
		if again, err := checkBlob(again); err != nil {
			t.Errorf("a blob that was written is not read: %v", err)
		} else if done.len() > 0 {
			return
		} else if done.add(0); h.count > 1 {
			less := again.without(b, done)
			if h, err := checkBlob(less); err != nil || !h.emptied(0) || h.emptied(1) || len(less) != again.sizeWithout(done) {
				t.Errorf("without a record %x is written %x: %v", b, less, err)
			}
		}
		if !bytes.Equal(again, b) && !slices.ContainsFunc(records, odd) {
			t.Errorf("%x is written %x", b, again)
		}
	})
}

// odd are times that are not written so.
func odd(r store.SpoolRecord) bool { return !r.Expires.IsZero() && r.Expires.Unix() < 1 }
