package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
	"apnsbridge/store/boltstore/seglog"
)

var (
	mailLine = store.Line{App: "mail", Environment: "production"}
	newsLine = store.Line{App: "news", Environment: "sandbox", Topic: "com.example.news"}
)

// spoolRecords returns n records, numbered in their bodies, each for a device of its own.
func spoolRecords(from, n int) []store.SpoolRecord {
	list := make([]store.SpoolRecord, n)
	for i := range list {
		list[i] = store.SpoolRecord{SpoolKey: store.SpoolKey{Token: fmt.Append(nil, "device ", from+i)},
			Body: fmt.Append(nil, "record ", from+i, " end")}
	}
	return list
}

func putAll(t testing.TB, s *Spool, l store.Line, list []store.SpoolRecord) (keys []store.SpoolKey) {
	t.Helper()
	if err := s.Put(ctx, store.SpoolBatch{Line: l, Records: list}); err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		keys = append(keys, r.SpoolKey)
	}
	return keys
}

// takeAll takes everything of a line, and separates what is whole from what is not.
func takeAll(t testing.TB, s *Spool, l store.Line) (whole, broken []store.SpoolRecord) {
	t.Helper()
	list, err := s.Take(ctx, l, 1<<20, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	devices, err := s.Devices(ctx, l, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		more, err := s.TakeOf(ctx, l, d.Token, 1<<20, 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, more...)
	}
	for _, r := range list {
		if r.Broken != nil {
			broken = append(broken, r)
		} else {
			whole = append(whole, r)
		}
	}
	return whole, broken
}

func lineFiles(t testing.TB, dir, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, spoolDir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// copyTree copies a store, and changes one of its files.
func copyTree(t testing.TB, from, path string, change func([]byte) []byte) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(from))
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, spoolDir, filepath.Base(path)), change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Whichever byte of a segment or of its marks is changed, or wherever the file is cut: the record
// that is hit, or those beyond the cut, are lost and reported, and no other record is held up.
func TestSegmentDamaged(t *testing.T) {
	t.Parallel()
	const n = 12
	from := t.TempDir()
	s := openTestSpool(t, from, Options{})
	for i := range n / 2 {
		putAll(t, s, mailLine, spoolRecords(i, 1))
		putAll(t, s, newsLine, spoolRecords(n/2+i, 1))
	}
	s.Done(mailLine, putAll(t, s, mailLine, spoolRecords(n, 2))...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	step := 7
	if *long {
		step = 1
	}
	for _, path := range append(lineFiles(t, from, "*.log"), lineFiles(t, from, "*.done")...) {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(whole); at += step {
			for _, cut := range []bool{false, true} {
				name := fmt.Sprintf("%s, byte %d, cut %v", filepath.Ext(path), at, cut)
				dir := copyTree(t, from, path, func(b []byte) []byte {
					if cut {
						return b[:at]
					}
					b[at] ^= 1 << (at % 8)
					return b
				})
				s := openTestSpool(t, dir, Options{})
				there := make(map[string]bool)
				for _, l := range []store.Line{mailLine, newsLine} {
					waiting := s.Waiting(l)
					whole, broken := takeAll(t, s, l)
					for _, r := range whole {
						there[string(r.Body)] = true
					}
					for _, r := range broken {
						s.Done(l, r.SpoolKey)
					}
					if got := s.Waiting(l); got != 0 {
						t.Errorf("%s: %d of %d still wait, and cannot be taken", name, got, waiting)
					}
				}
				lost := 0
				for i := range n + 2 {
					body := fmt.Sprint("record ", i, " end")
					end := bytes.Index(whole, []byte(body)) + len(body) + 4 // if it is a segment
					start := end - seglog.FrameSize(len(newsLine.Joined()), len("device 10"), len(body))
					hit := filepath.Ext(path) == ".log" && at < end && (cut || at >= start)
					switch {
					case i < n && !there[body] && !hit:
						t.Errorf("%s: record %d is lost", name, i)
					case i < n && !there[body]:
						lost++
					case i >= n && there[body] && filepath.Ext(path) == ".log":
						t.Errorf("%s: record %d was done and has come back", name, i)
					}
				}
				if _, err := os.Stat(s.path("broken")); lost > 0 && !cut && (err != nil || lost > 1) {
					t.Errorf("%s: %d records are lost; the file for the operator: error %v", name, lost, err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				os.RemoveAll(dir)
			}
		}
	}
}

func fileSize(t testing.TB, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

// However queues.db is damaged, it opens, perhaps as a new file. What is read from it is as it was
// put, and the log loses nothing.
func TestQueuesDamaged(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	s := openTestSpool(t, from, Options{})
	for i := range 60 {
		r := spoolRecords(i, 3)
		for j := range r {
			r[j].Token, r[j].Queued = r[0].Token, true
			r[j].Body = bytes.Repeat(r[j].Body, 20)
		}
		putAll(t, s, []store.Line{mailLine, newsLine}[i%2], r)
	}
	putAll(t, s, mailLine, spoolRecords(1000, 10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(from, spoolDir, queuesFileName)
	rounds := 4
	if *long {
		rounds = 200
	}
	r := rand.New(rand.NewPCG(*seed, 5))
	pages := fileSize(t, path) / page
	aside := 0
	for _, damage := range damages {
		for range rounds {
			at := r.IntN(pages)
			name := fmt.Sprintf("%s at page %d", damage.name, at)
			dir := copyTree(t, from, path, func(b []byte) []byte { return damage.do(r, b, at*page) })
			s, err := OpenSpool(dir, Options{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if s.aside != nil {
				aside++
			}
			list, err := s.Take(ctx, mailLine, 100, 1<<40)
			if err != nil || len(list) != 10 {
				t.Errorf("%s: got %d records of the log and error %v, want 10", name, len(list), err)
			}
			for _, l := range []store.Line{mailLine, newsLine} {
				devices, err := s.Devices(ctx, l, nil, 1000)
				if err != nil && !boltfile.IsDamage(err) {
					t.Errorf("%s: %v", name, err)
				}
				for _, d := range devices {
					list, err := s.TakeOf(ctx, l, d.Token, 100, 1<<40)
					if err != nil && !boltfile.IsDamage(err) {
						t.Errorf("%s: %v", name, err)
					}
					for _, r := range list {
						if r.Broken == nil && !bytes.HasPrefix(r.Body, []byte("record ")) {
							t.Errorf("%s: got %.50q", name, r.Body)
						}
					}
				}
			}
			s.Close()
			os.RemoveAll(dir)
		}
	}
	if aside == 0 {
		t.Error("no file was set aside")
	}
}

// overwrite changes the first byte of text wherever a file has it.
func overwrite(t testing.TB, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := false
	for at := 0; ; at++ {
		i := bytes.Index(b[at:], []byte(text))
		if i < 0 {
			break
		}
		at, found = at+i, true
		if _, err := f.WriteAt([]byte{b[at] ^ 4}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Fatalf("%s has no %q", path, text)
	}
}

// A bit in each of three records goes bad while the spool is open: these are reported and kept for
// the operator, and all others can be taken, now and after a restart.
func TestBrokenWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := openTestSpool(t, dir, Options{})
	s.Return(mailLine, putAll(t, s, mailLine, spoolRecords(0, 2000))...)
	queue := spoolRecords(3000, 20)
	for i := range queue {
		queue[i].Token, queue[i].Queued = []byte("d"), true
	}
	s.Return(mailLine, putAll(t, s, mailLine, queue)...)
	overwrite(t, lineFiles(t, dir, "*.log")[0], "record 1000 end")
	overwrite(t, lineFiles(t, dir, "*.log")[0], "device 500") // its head
	overwrite(t, s.path(queuesFileName), "record 3010 end")
	for round := range 2 {
		whole, broken := takeAll(t, s, mailLine)
		if len(whole) != 2017 || len(broken) != 2 || broken[0].ID == 0 || string(broken[0].Token) != "device 1000" || string(broken[1].Token) != "d" {
			t.Fatalf("got %d whole ones and broken %+v, want 2017 and 2", len(whole), broken)
		}
		if got := s.Stats(); got.Broken != 3 || got.Lines[0].Log+got.Lines[0].Queued != 2019 {
			t.Errorf("got %+v, want 3 broken, and 2019 counted", got)
		}
		kept, err := os.ReadFile(s.path("broken"))
		if err != nil || bytes.Count(kept, []byte(" end")) != 3*(round+1) {
			t.Errorf("got %q kept and error %v, want the three records", kept, err)
		}
		if round == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openTestSpool(t, dir, Options{})
			continue
		}
		s.Done(mailLine, broken[0].SpoolKey, broken[1].SpoolKey)
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if whole, broken := takeAll(t, openTestSpool(t, copyOf(t, s), Options{}), mailLine); len(whole) != 2017 || len(broken) != 0 {
		t.Errorf("got %d whole and %d broken ones, want 2017 and none", len(whole), len(broken))
	}
}

// A segment may be there together with those that it replaces, if the process ended in between.
func TestReplacedSegments(t *testing.T) {
	dir := t.TempDir()
	s := openTestSpool(t, dir, Options{SpoolBytes: 1 << 20})
	var keys []store.SpoolKey
	for i := range 10 {
		keys = append(keys, putAll(t, s, mailLine, spoolRecords(100*i, 100))...)
	}
	s.cleaning.Lock()
	for i, k := range keys {
		if i%5 > 0 && i < 800 {
			s.Done(mailLine, k)
		}
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	before := t.TempDir()
	if err := os.CopyFS(before, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	for s.log.Clean(2) {
	}
	s.cleaning.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(s.dir, os.DirFS(before)); err == nil || !errors.Is(err, os.ErrExist) {
		t.Fatalf("got %v, want an error, since some are there", err)
	}
	for _, path := range []string{"*.log", "*.done"} {
		old, err := filepath.Glob(filepath.Join(before, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range old {
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(filepath.Join(s.dir, filepath.Base(from)), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	s = openTestSpool(t, dir, Options{SpoolBytes: 1 << 20})
	whole, broken := takeAll(t, s, mailLine)
	if len(whole) != 360 || len(broken) != 0 || !slices.IsSortedFunc(whole, func(a, b store.SpoolRecord) int { return int(int64(a.ID - b.ID)) }) {
		t.Errorf("got %d whole and %d broken records, want 360 in order", len(whole), len(broken))
	}
}

// A record that is checked out while its segment is rewritten is found in its new place afterwards.
func TestCleanBesideHands(t *testing.T) {
	s := openTestSpool(t, t.TempDir(), Options{SpoolBytes: 1 << 20})
	var keys []store.SpoolKey
	for i := range 10 {
		keys = append(keys, putAll(t, s, mailLine, spoolRecords(100*i, 100))...)
	}
	s.Return(mailLine, keys...)
	list, err := s.Take(ctx, mailLine, 900, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	s.cleaning.Lock()
	for i, r := range list {
		if i%3 > 0 {
			s.Done(mailLine, r.SpoolKey)
		}
	}
	before := s.Stats().Bytes
	for s.flush() == nil && s.log.Clean(2) {
	}
	s.cleaning.Unlock()
	if got := s.Stats().Bytes; got > before/2 {
		t.Errorf("got %d bytes of %d, want less than half", got, before)
	}
	var moved []store.SpoolRecord
	want := 0
	for i, r := range list {
		switch {
		case i%3 > 0:
		case i%2 > 0:
			s.Return(mailLine, r.SpoolKey)
			want++
		case i%4 > 0:
			s.Done(mailLine, r.SpoolKey)
		default:
			r.Queued = true
			moved = append(moved, r)
			want++
		}
	}
	putAll(t, s, mailLine, moved)
	again, err := s.Take(ctx, mailLine, 1000, 1<<40)
	if err != nil || len(again) != want-len(moved)+100 {
		t.Fatalf("got %d records and error %v, want %d", len(again), err, want-len(moved)+100)
	}
	for i, r := range again {
		if r.Broken != nil || i > 0 && r.ID <= again[i-1].ID || recordNumber(t, r) < 900 && recordNumber(t, r)%6 != 3 {
			t.Errorf("got %+v", r)
		}
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	whole, broken := takeAll(t, openTestSpool(t, copyOf(t, s), Options{}), mailLine)
	if len(whole) != want+100 || len(broken) != 0 {
		t.Errorf("after a kill: got %d whole and %d broken records, want %d", len(whole), len(broken), want+100)
	}
}

// If queues.db cannot be written, nothing of a Put is there, although the log was written.
func TestPutHalf(t *testing.T) {
	s := openTestSpool(t, t.TempDir(), Options{})
	if err := s.queues.Close(); err != nil {
		t.Fatal(err)
	}
	list := spoolRecords(0, 10)
	list[3].Queued = true
	if err := s.Put(ctx, store.SpoolBatch{Line: mailLine, Records: list}); err == nil {
		t.Fatal("got no error")
	}
	if got := s.Stats(); list[0].ID != 0 || s.Waiting(mailLine) != 0 || len(got.Lines) != 0 ||
		s.Queued(mailLine, list[3].Token) {
		t.Errorf("got ID %d and %+v, want nothing", list[0].ID, got)
	}
	s.Flush(ctx) // of the log's part
	if whole, broken := takeAll(t, openTestSpool(t, copyOf(t, s), Options{}), mailLine); len(whole)+len(broken) != 0 {
		t.Errorf("got %d records, want none", len(whole)+len(broken))
	}
}

// The spool of an earlier version is not silently ignored.
func TestOldSpool(t *testing.T) {
	dir := t.TempDir()
	old, err := bbolt.Open(filepath.Join(dir, "spool.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(old.Update(func(tx *bbolt.Tx) error {
		root, err := tx.CreateBucket([]byte("spool"))
		if err != nil {
			return err
		}
		_, err = root.CreateBucket([]byte("mail/production"))
		return err
	}), old.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = OpenSpool(dir, Options{})
	sentence(t, err, filepath.Join(dir, "spool.db"), "earlier version")
}
