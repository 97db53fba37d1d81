package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"apnsbridge/store"
)

// salvaged reads the file at path and checks that each queue comes in order, each
// record once and as it was.
func salvaged(t *testing.T, path string) (there map[string]map[int]bool, result Salvaged) {
	t.Helper()
	there = make(map[string]map[int]bool)
	last := make(map[string]uint64)
	result, err := Salvage(path, func(r SalvagedRecord) error {
		queue := r.Queue
		if r.ID <= last[queue] {
			t.Errorf("record %d of %s came after %d", r.ID, queue, last[queue])
		}
		last[queue] = r.ID
		n := number(t, r.SpoolRecord)
		if !bytes.Equal(r.Token, token(n)) {
			t.Errorf("record %d has token %x", n, r.Token)
		}
		if there[queue] == nil {
			there[queue] = make(map[int]bool)
		}
		there[queue][n] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, records := range there {
		sum += len(records)
	}
	if sum != result.Records {
		t.Errorf("got %d records, and %d said", sum, result.Records)
	}
	return there, result
}

// contents are what a spool has.
func contents(t *testing.T, dir string) map[string]map[int]bool {
	t.Helper()
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	all := make(map[string]map[int]bool)
	for _, queue := range st.Spool().Queues() {
		all[queue] = make(map[int]bool)
		for _, r := range takeAll(t, st.Spool(), queue) {
			all[queue][number(t, r)] = true
		}
	}
	return all
}

// count compares what was salvaged with what there was.
func count(got, want map[string]map[int]bool) (missing, more int) {
	for queue, records := range want {
		for n := range records {
			if !got[queue][n] {
				missing++
			}
		}
	}
	for queue, records := range got {
		for n := range records {
			if !want[queue][n] {
				more++
			}
		}
	}
	return missing, more
}

// churn fills a spool and empties it in good part, again and again, so that its
// file is full of what has ended.
func churn(t testing.TB, dir string) {
	t.Helper()
	fillSpool(t, dir)
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, r, next := st.Spool(), rand.New(rand.NewPCG(*seed, 7)), 100_000
	for round := range 40 {
		queue := fmt.Sprint("queue ", round%3)
		b := waiting(next, 1+r.IntN(600), 60)
		b.Queue = queue
		next += len(b.Records)
		s.Return(queue, putAll(t, s, b)...)
		list, err := s.Take(ctx, queue, r.IntN(700), unlimited)
		if err != nil {
			t.Fatal(err)
		}
		for i, record := range list {
			if i%50 > 0 {
				s.Done(queue, record.ID)
			}
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// A whole file gives what its spool has, and nothing that has ended.
func TestSalvageWhole(t *testing.T) {
	dir := t.TempDir()
	churn(t, dir)
	got, result := salvaged(t, filepath.Join(dir, spoolFileName))
	missing, more := count(got, contents(t, dir))
	if missing+more > 0 || result.Doubtful+result.Lost+result.Heads+result.Unread > 0 || result.Done == 0 || result.Broken {
		t.Errorf("got %+v, %d missing, %d too many", result, missing, more)
	}
}

// Whatever befalls a file, what is as it was is given, and of that what is not said
// to be doubtful is not done.
func TestSalvageDamaged(t *testing.T) {
	step := 128 // pages
	if *long {
		step = 5
	}
	dir := t.TempDir()
	churn(t, dir)
	want := contents(t, dir)
	all := 0
	for _, records := range want {
		all += len(records)
	}
	whole, err := os.ReadFile(filepath.Join(dir, spoolFileName))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "damaged")
	for n, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			files, worst, doubled := 0, 0, 0
			for at := n * 7 % step * page; at < len(whole); at += step * page {
				b := damage.do(rand.New(rand.NewPCG(*seed, uint64(at))), bytes.Clone(whole), at)
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				if !bytes.Contains(b, []byte(blobMagic)) {
					continue // nothing is left
				}
				got, result := salvaged(t, path)
				missing, more := count(got, want)
				files++
				worst, doubled = max(worst, missing), max(doubled, more)
				if more > result.Doubtful {
					t.Errorf("at byte %d: %d were given that were done, of %+v", at, more, result)
				}
			}
			t.Logf("%d files: at most %d of %d missing, and %d that were done", files, worst, all, doubled)
			if onePage(damage.name) && worst > 2*blobRecords {
				t.Errorf("a page cost %d of %d records", worst, all)
			}
		})
	}
}

// onePage are damages that leave the rest of a file as it was.
func onePage(damage string) bool {
	switch damage {
	case "zeroed", "ones", "noise", "a bit", "another page":
		return true
	}
	return false
}

// A file without heads and without a list of free pages gives all there was. What
// has ended is doubtful, and is little: blobs say which came before them.
func TestSalvageWithoutTree(t *testing.T) {
	dir := t.TempDir()
	churn(t, dir)
	path := filepath.Join(dir, spoolFileName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[:2*page])
	damaged := filepath.Join(dir, "damaged")
	if err := os.WriteFile(damaged, b, 0o600); err != nil {
		t.Fatal(err)
	}
	got, result := salvaged(t, damaged)
	missing, more := count(got, contents(t, dir))
	if missing > 0 || more > result.Doubtful || result.Doubtful != result.Records || !result.Broken {
		t.Errorf("got %+v, %d missing, %d too many", result, missing, more)
	}
	t.Logf("%+v, %d of them were done", result, more)
}

// An empty spool gives nothing, though its file is full of what has ended.
func TestSalvageEmptied(t *testing.T) {
	dir := t.TempDir()
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		st.Spool().Done(testQueue, putAll(t, st.Spool(), waiting(1000*i, 1000, 300))...)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	got, result := salvaged(t, filepath.Join(dir, spoolFileName))
	if len(got) > 0 || result != (Salvaged{}) {
		t.Errorf("got %+v", result)
	}
}

// A notification whose body looks like a blob, or like a page with one, is none,
// whatever befalls the head of the blob that it is in.
func TestSalvageForged(t *testing.T) {
	forged := appendBlob(nil, blobHead{number: 1 << 40}, "another app", waiting(0, 1, 10).Records)
	for _, records := range []int{1, 3, 20, 200} {
		dir := t.TempDir()
		st, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := waiting(0, records, 10)
		for i := range b.Records {
			b.Records[i].Body = bytes.Repeat(append(make([]byte, 4*i%40), forged...), 1+i%30)
		}
		putAll(t, st.Spool(), b)
		putAll(t, st.Spool(), waiting(1000, 1, 10))
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, spoolFileName)
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		own := []byte(blobMagic)
		for at := 0; ; at += len(own) {
			next := bytes.Index(file[at:], own)
			if next < 0 {
				break
			}
			at += next
			if bytes.Contains(file[at:min(at+blobFixed+len(testQueue), len(file))], []byte(testQueue)) {
				file[at+20]++ // the number, and so the head has a wrong checksum
			}
		}
		for _, damage := range []func(){
			func() {},
			func() { clear(file[:2*page]) },
			func() { // all that says which page it is, but for where forged ones could stand
				for at := 0; at < len(file); at += page {
					clear(file[at+8 : at+12])
				}
			},
		} {
			damage()
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			result, err := Salvage(path, func(r SalvagedRecord) error {
				t.Errorf("%d records: record %d of queue %q", records, r.ID, r.Queue)
				return nil
			})
			if err == nil && result.Heads == 0 {
				t.Errorf("%d records: got %+v, want heads that are lost", records, result)
			}
		}
	}
}

// More blobs than fit into memory take more passes.
func TestSalvagePasses(t *testing.T) {
	dir := t.TempDir()
	st, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var batches []store.SpoolBatch
	const limit, blobs = 300, 2000
	for i := range blobs {
		batches = append(batches, waiting(i, 1, 10))
		batches[i].Queue = fmt.Sprint("queue ", i%3)
	}
	putAll(t, st.Spool(), batches...)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	n, last := 0, make(map[string]uint64)
	result, err := salvageBy(filepath.Join(dir, spoolFileName), limit, func(r SalvagedRecord) error {
		n++
		if r.ID <= last[r.Queue] {
			t.Fatalf("record %d of %s came after %d", r.ID, r.Queue, last[r.Queue])
		}
		last[r.Queue] = r.ID
		return nil
	})
	if err != nil || n != blobs || result.Records != n {
		t.Errorf("got %d records, %+v and error %v, want %d", n, result, err, blobs)
	}
}

func TestSalvageRefuses(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 5)
	path := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	feedback, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ path, want string }{
		"no file":           {filepath.Join(dir, "none"), "no such file"},
		"a directory":       {dir, "is not a file"},
		"an empty file":     {path("empty", nil), "no notification that can be recognised"},
		"zeros":             {path("zeros", make([]byte, 1<<20)), "no notification that can be recognised"},
		"text":              {path("text", bytes.Repeat([]byte("text"), 9000)), "no notification that can be recognised"},
		"dead devices":      {filepath.Join(dir, fileName), "lists of dead devices"},
		"renamed":           {path("renamed", feedback), "lists of dead devices"},
		"damaged feedback":  {path(fileName+damagedInfix+"1", make([]byte, 1<<16)), "lists of dead devices"},
		"a spool without":   {filepath.Join(dir, spoolFileName), "no notification that can be recognised"},
		"heads of feedback": {path("cut", feedback[:3*page]), "no notification that can be recognised"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Salvage(tt.path, func(SalvagedRecord) error { t.Error("got a record"); return nil })
			sentence(t, err, tt.path, tt.want)
		})
	}
	dir = t.TempDir()
	fillSpool(t, dir)
	enough, calls := errors.New("enough"), 0
	if _, err := Salvage(filepath.Join(dir, spoolFileName), func(SalvagedRecord) error { calls++; return enough }); err != enough || calls != 1 {
		t.Errorf("got error %v after %d calls, want %v after 1", err, calls, enough)
	}
}

// Whatever is in a file, nothing dies of it, and what is given are records.
func FuzzSalvage(f *testing.F) {
	dir := f.TempDir()
	st, err := Open(dir, Options{})
	if err != nil {
		f.Fatal(err)
	}
	s := st.Spool()
	for _, n := range []int{1, 2, 20} {
		ids := putAll(f, s, waiting(0, n, 40))
		s.Done(testQueue, ids[n/2:]...)
	}
	if err := st.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, spoolFileName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole[:min(len(whole), 12*page)])
	f.Add(whole[:5*page])
	path := filepath.Join(dir, "file")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		last := make(map[string]uint64)
		result, _ := salvageBy(path, 3, func(r SalvagedRecord) error {
			if r.ID <= last[r.Queue] || len(r.Token) > maxToken || len(r.Queue) > maxQueue {
				t.Errorf("record %d of %q came after %d", r.ID, r.Queue, last[r.Queue])
			}
			last[r.Queue] = r.ID
			return nil
		})
		if result.Records < 0 || result.Doubtful > result.Records {
			t.Errorf("got %+v", result)
		}
	})
}
