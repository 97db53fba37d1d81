package boltstore

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

var (
	long = flag.Bool("long", false, "run the long rounds")
	seed = flag.Uint64("seed", 1, "of the damage that is done at random")
)

// damages are ways to damage a file at an offset. A function may change whole.
var damages = []struct {
	name string
	do   func(r *rand.Rand, whole []byte, at int) []byte
}{
	{"cut", func(_ *rand.Rand, b []byte, at int) []byte { return b[:at] }},
	{"cut within", func(_ *rand.Rand, b []byte, at int) []byte { return b[:at+page/2] }},
	{"zeroed", func(_ *rand.Rand, b []byte, at int) []byte { clear(b[at : at+page]); return b }},
	{"zeroed from", func(_ *rand.Rand, b []byte, at int) []byte { clear(b[at:]); return b }},
	{"ones", func(_ *rand.Rand, b []byte, at int) []byte {
		for i := range page {
			b[at+i] = 0xff
		}
		return b
	}},
	{"noise", func(r *rand.Rand, b []byte, at int) []byte { noise(r, b[at:at+page]); return b }},
	{"another page", func(r *rand.Rand, b []byte, at int) []byte {
		copy(b[at:at+page], b[r.IntN(len(b)/page)*page:])
		return b
	}},
	{"a bit", func(r *rand.Rand, b []byte, at int) []byte { flip(r, b[at:at+page], 1); return b }},
	{"bits of a page's head", func(r *rand.Rand, b []byte, at int) []byte { flip(r, b[at:at+16], 2); return b }},
	{"bits of its elements", func(r *rand.Rand, b []byte, at int) []byte { flip(r, b[at+16:at+10*16], 2); return b }},
	{"bytes anywhere", func(r *rand.Rand, b []byte, _ int) []byte {
		for range 8 {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
		return b
	}},
}

const page = 4096

func noise(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

func flip(r *rand.Rand, b []byte, bits int) {
	for range bits {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
}

// However a file is damaged, the store opens: with what is in the file, or with the file set
// aside. The rounds run in a process of their own, which must survive all of them.
func TestOpenDamaged(t *testing.T) {
	t.Parallel()
	if os.Getenv(damagedIn) != "" {
		t.Skip("this is the process of its own")
	}
	rounds := 1
	if *long {
		rounds = 40
	}
	child := exec.Command(os.Args[0], "-test.run=^TestDamagedRounds$", "-test.v", "-seed="+strconv.FormatUint(*seed, 10))
	child.Env = append(os.Environ(), damagedIn+"="+t.TempDir(), damagedRounds+"="+strconv.Itoa(rounds))
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Run(); err != nil {
		t.Errorf("%v\n%s", err, tail(out.Bytes(), 4000))
	}
	t.Logf("%s", tail(out.Bytes(), 400))
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// Environment variables that TestOpenDamaged sets for its child.
const (
	damagedIn     = "BOLTSTORE_DAMAGED_IN"
	damagedRounds = "BOLTSTORE_DAMAGED_ROUNDS"
)

func TestDamagedRounds(t *testing.T) {
	in := os.Getenv(damagedIn)
	if in == "" {
		t.Skip("it runs in a process of its own, which TestOpenDamaged starts")
	}
	debug.SetMemoryLimit(1 << 30)
	rounds, err := strconv.Atoi(os.Getenv(damagedRounds))
	if err != nil {
		t.Fatal(err)
	}
	const entries = 300
	fill(t, in, entries)
	// The file then has some free pages, and a branch page.
	edit(t, in, func(tx *bbolt.Tx) error { return tx.Bucket(ledgerBucket).Delete(token(1)) })
	damageRounds(t, filepath.Join(in, fileName), rounds, func(t *testing.T, name, dir string, b []byte) bool {
		return survives(t, name, dir, b, entries)
	})
}

// damageRounds applies all damages to the file at path, and calls survives for each result.
func damageRounds(t *testing.T, path string, rounds int, survives func(t *testing.T, name, dir string, b []byte) bool) {
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	aside, opened := 0, 0
	for round := range rounds {
		for n, damage := range damages {
			first, step := 0, 1
			if n > 0 {
				first, step = (n+round)%16, 16 // pages
			}
			for at := first * page; at < len(whole); at += step * page {
				name := fmt.Sprintf("round %d: %s at byte %d of %d", round, damage.name, at, len(whole))
				r := rand.New(rand.NewPCG(*seed+uint64(round), uint64(at)))
				b := damage.do(r, bytes.Clone(whole), at)
				dir, err := os.MkdirTemp(os.Getenv(damagedIn), "")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o600); err != nil {
					t.Fatal(err)
				}
				if survives(t, name, dir, b) {
					opened++
				} else {
					aside++
				}
				os.RemoveAll(dir)
			}
		}
	}
	if aside == 0 || opened == 0 {
		t.Error("want some files opened, and some set aside")
	}
	t.Logf("%d files opened, %d were set aside", opened, aside)
}

// survives opens a damaged file and uses everything in it. It reports false if the file was set aside.
func survives(t *testing.T, name, dir string, b []byte, entries int) (opened bool) {
	t.Helper()
	s := openDamaged(t, name, dir)
	if s == nil {
		return true
	}
	want := 0 // entries that must be there
	if s.SetAside() == nil && len(b) > 0 {
		want = s.Stats().FeedbackEntries
	}
	got := 0
	for _, app := range []string{"mail", "news"} {
		list, err := s.Feedback().Pending(ctx, app, 0, 2*entries)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got += len(list)
		if err := s.Feedback().Record(ctx, app, store.Dead{Token: token(entries + 1), Time: time.Unix(1, 0)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Feedback().Forget(ctx, app, list...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got < want {
		t.Errorf("%s: only %d entries of %d can be read", name, got, want)
	}
	if err := s.Ledger().Load(ctx, func(store.LedgerRecord) error { return nil }); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return closeDamaged(t, name, s, b)
}

// openDamaged opens a store; nil if its damage makes it look like one of another version.
func openDamaged(t *testing.T, name, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{FeedbackAge: 100 * 365 * 24 * time.Hour})
	if err != nil && strings.Contains(err.Error(), "is of version") {
		return nil
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// closeDamaged reports whether the file with the bytes b was opened. If it was set aside, it must
// have been kept as it was.
func closeDamaged(t *testing.T, name string, s *Store, b []byte) (opened bool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	aside := s.SetAside()
	if len(aside) == 0 {
		return true
	}
	if kept, err := os.ReadFile(aside[0].Path); err != nil || !bytes.Equal(kept, b) || len(aside) > 1 {
		t.Errorf("%s: %d bytes are kept of %d, error %v", name, len(kept), len(b), err)
	}
	return false
}
