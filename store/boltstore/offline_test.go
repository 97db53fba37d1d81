package boltstore

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

func TestOpenSpool(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenSpool(dir, Options{}); !errors.Is(err, ErrNoSpool) {
		t.Errorf("got %v, want %v", err, ErrNoSpool)
	}
	if _, _, err := CompactSpool(dir); !errors.Is(err, ErrNoSpool) {
		t.Errorf("got %v, want %v", err, ErrNoSpool)
	}
	fillSpool(t, dir)
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, spoolFileName)
	_, err = OpenSpool(dir, Options{})
	sentence(t, err, path, "in use by another process", "stop the gateway")
	_, _, err = CompactSpool(dir)
	sentence(t, err, path, "in use by another process", "stop the gateway")
	want := st.Stats().Spool.Waiting
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSpool(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().Waiting; got != want {
		t.Errorf("got %d records, want %d", got, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A damaged file is left to the gateway.
func TestOpenSpoolDamaged(t *testing.T) {
	for name, damage := range map[string]func(b []byte){
		"zeroed": func(b []byte) { clear(b) },
		"blobs": func(b []byte) { // and what was one
			for at := 0; bytes.Contains(b[at:], []byte(blobMagic)); at += 100 {
				at += bytes.Index(b[at:], []byte(blobMagic))
				b[at+80]++
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fillSpool(t, dir)
			path := filepath.Join(dir, spoolFileName)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			damage(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				_, err := OpenSpool(dir, Options{})
				sentence(t, err, path+" is damaged: ", "start the gateway")
			}
			if damaged, err := damagedFiles(dir); len(damaged) > 0 || err != nil {
				t.Errorf("got %q set aside and error %v, want none", damaged, err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, b) {
				t.Errorf("the file was changed, error %v", err)
			}
		})
	}
}

func TestSpoolList(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).UTC()
	s := openSpool(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	list := func() []SpoolListing {
		t.Helper()
		if err := s.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		list, err := s.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if got := list(); len(got) != 0 {
		t.Errorf("got %v of an empty spool", got)
	}
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	b := waiting(0, 4, 1000)
	b.Records[0].Expires, b.Records[1].Expires = at(5), at(7)
	first := putAll(t, s, b)
	started := now
	now = now.Add(time.Minute)
	b = waiting(4, 2, 10)
	b.Records[1].Expires = at(30)
	second := putAll(t, s, b)
	b = waiting(6, 1, 10)
	b.Queue = "a queue"
	putAll(t, s, b)
	check := func(records int, oldest, expires time.Time) {
		t.Helper()
		got := list()
		for i := range got {
			if got[i].Bytes < 100 || got[i].Bytes > 12_000 {
				t.Errorf("got %d bytes of %s", got[i].Bytes, got[i].Queue)
			}
			got[i].Bytes = 0
		}
		want := []SpoolListing{{Queue: "a queue", Records: 1, Oldest: now}, {Queue: testQueue, Records: records, Oldest: oldest, Expires: expires}}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	check(6, started, started.Add(5*time.Minute))
	s.Done(testQueue, first[0])
	check(5, started, started.Add(7*time.Minute))
	s.Done(testQueue, first...)
	check(2, now, started.Add(31*time.Minute))
	s.Done(testQueue, second[1])
	check(1, now, time.Time{})
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	churn(t, dir)
	want := contents(t, dir)
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	last := st.Spool().last
	for _, queue := range st.Spool().Queues() {
		list := takeAll(t, st.Spool(), queue)
		for _, r := range list[:len(list)*2/3] {
			st.Spool().Done(queue, r.ID)
			delete(want[queue], number(t, r))
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, spoolFileName)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	nobody := os.Geteuid() == 0
	if nobody {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	before, after, err := CompactSpool(dir)
	info, statErr := os.Stat(path)
	if statErr != nil {
		t.Fatal(statErr)
	}
	if owner := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != 0o640 || nobody && owner.Uid != 65534 {
		t.Errorf("got mode %v and owner %d, want those of before", info.Mode(), owner.Uid)
	}
	if err != nil || after >= before/2 || after < 100_000 {
		t.Errorf("got %d bytes of %d, error %v, want less than half", after, before, err)
	}
	consistent(t, filepath.Join(dir, spoolFileName))
	if missing, more := count(contents(t, dir), want); missing+more > 0 {
		t.Errorf("%d records are missing and %d are too many", missing, more)
	}
	s := openSpool(t, dir, Options{})
	if ids := putAll(t, s, waiting(0, 1, 10)); ids[0] <= recordID(last, 0) {
		t.Errorf("got ID %d, want more than %d", ids[0], recordID(last, 0))
	}
	if names := fileNames(t, dir); !slices.Equal(names, []string{fileName, spoolFileName}) {
		t.Errorf("got files %q", names)
	}
}

func TestPurge(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir, Options{})
	ours := putAll(t, s, waiting(0, 10, 10))
	b := waiting(10, purgeRecords+5, 10)
	other := waiting(0, 3, 10)
	other.Queue = "other"
	s.Return(testQueue, putAll(t, s, b)...)
	s.Return(other.Queue, putAll(t, s, other)...)
	if n, err := s.Purge(ctx, testQueue); n != purgeRecords+5 || err != nil {
		t.Errorf("got %d and error %v, want %d", n, err, purgeRecords+5)
	}
	if n, err := s.Purge(ctx, "nobody's"); n != 0 || err != nil {
		t.Errorf("got %d and error %v of no queue", n, err)
	}
	if got := s.Stats(); got.Waiting != 3 || got.Out != len(ours) || !s.held.allSaved() {
		t.Errorf("got %+v, want the other queue, and what somebody has", got)
	}
}

func fileNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Without space for a second file the first stays as it is.
func TestCompactDiskFull(t *testing.T) {
	disk := storetest.NewDisk(t, 16<<20)
	dir := filepath.Join(disk.Dir, "data")
	churn(t, dir)
	want := contents(t, dir)
	disk.Fill()
	_, _, err := CompactSpool(dir)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
	sentence(t, err, filepath.Join(dir, spoolFileName), "no space left on device")
	disk.Free()
	if missing, more := count(contents(t, dir), want); missing+more > 0 {
		t.Errorf("%d records are missing and %d are too many", missing, more)
	}
	if names := fileNames(t, dir); !slices.Equal(names, []string{fileName, spoolFileName}) {
		t.Errorf("got files %q", names)
	}
}

// What a damaged file has is delivered after all, once.
func TestImport(t *testing.T) {
	dir := t.TempDir()
	churn(t, dir)
	want := contents(t, dir)
	path := filepath.Join(dir, spoolFileName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[:2*page])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := st.Spool()
	aside := st.SetAside()[0].Path
	if _, err := s.Import(ctx, path, true); err == nil {
		t.Error("the spool was imported into itself")
	}
	got, err := s.Import(ctx, aside, false)
	if err != nil || got.Put != 0 || got.Left != got.Records || got.Doubtful != got.Records {
		t.Errorf("got %+v and error %v, want nothing that is certain", got, err)
	}
	if err := os.Rename(aside+importedEnd, aside); err != nil {
		t.Fatal(err)
	}
	got, err = s.Import(ctx, aside, true)
	if err != nil || got.Put != got.Records || got.Left != 0 || !got.Broken {
		t.Errorf("got %+v and error %v", got, err)
	}
	if waiting := st.Stats().Spool.Waiting; waiting != got.Put || st.Stats().DamagedFiles != 0 {
		t.Errorf("got %+v, want %d records and no damaged file", st.Stats(), got.Put)
	}
	if _, err := s.Import(ctx, aside, true); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	there := contents(t, dir)
	if missing, more := count(there, want); missing > 0 || more > got.Doubtful {
		t.Errorf("%d records are missing, and %d too many, of %+v", missing, more, got)
	}
	if got, want := slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
		t.Errorf("got queues %q, want %q", got, want)
	}
	for queue := range there {
		s, err := OpenSpool(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		last := -1
		for _, r := range takeAll(t, s, queue) {
			if n := number(t, r); n <= last {
				t.Errorf("record %d of %s came after %d", n, queue, last)
			} else {
				last = n
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Nothing is imported that has expired, and nothing at all if not everything can be.
func TestImportNot(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	from := t.TempDir()
	st, err := Open(from, Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	b := waiting(0, 3000, 1000)
	for i := range b.Records[:500] {
		b.Records[i].Expires = now.Add(time.Duration(i+1) * time.Second)
	}
	putAll(t, st.Spool(), b)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(from, spoolFileName)
	now = now.Add(100 * time.Second)

	s := openSpool(t, t.TempDir(), Options{SpoolBytes: 2 << 20, Now: clock})
	ours := putAll(t, s, waiting(0, 10, 10))
	got, err := s.Import(ctx, file, true)
	sentence(t, err, file, "raise spool.max_bytes", "2097152")
	if !errors.Is(err, store.ErrSpoolFull) || got.Put != 0 {
		t.Errorf("got %+v and error %v, want %v", got, err, store.ErrSpoolFull)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Import(ended, file, true); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if stats := s.Stats(); stats.Waiting != 0 || stats.Out != len(ours) {
		t.Errorf("got %+v, want what there was", stats)
	}

	s = openSpool(t, t.TempDir(), Options{Now: clock})
	if got, err = s.Import(ctx, file, true); err != nil || got.Put != 2900 || got.Expired != 100 || got.Records != 3000 {
		t.Errorf("got %+v and error %v, want 2,900 of 3,000 records", got, err)
	}
	for i, r := range takeAll(t, s, testQueue) {
		want := b.Records[100+i]
		if number(t, r) != 100+i || !r.Expires.Equal(want.Expires) || !bytes.Equal(r.Token, want.Token) {
			t.Fatalf("got %v as record %d, want %v", r, i, want)
		}
	}
}
