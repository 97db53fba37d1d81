package boltstore

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
)

// Environment variables that TestSpoolKilled sets for its child.
const (
	linesKilledIn   = "BOLTSTORE_LINES_KILLED_IN"
	linesKilledFrom = "BOLTSTORE_LINES_KILLED_FROM" // the number of its first record
)

// spoolFates is what had become of records when a child was killed, by their numbers.
type spoolFates struct {
	put, done, surely, moved, moving map[int]bool
	trying                           map[int]bool // a Put of them was begun
	next                             int
}

// Whenever a process is killed, each record that it put is there, once. What was moved to a
// queue is in it, and what was done in the log before a later Put does not come back.
func TestSpoolKilled(t *testing.T) {
	t.Parallel()
	if os.Getenv(linesKilledIn) != "" {
		t.Skip("this is the process that is killed")
	}
	rounds := 6
	if *long {
		rounds = 300
	}
	dir, r := t.TempDir(), rand.New(rand.NewPCG(*seed, 6))
	there, next := make(map[int]bool), 0 // what was there before a round
	for round := range rounds {
		f := killSpool(t, dir, next, r)
		next = f.next
		s := openTestSpool(t, dir, Options{SpoolBytes: 64 << 20})
		aside, err := boltfile.Damaged(s.dir)
		if got := s.Stats(); err != nil || len(aside) > 0 || got.Broken > 0 {
			t.Fatalf("round %d: got %+v, error %v, and set aside %v", round, got, err, aside)
		}
		whole, broken := takeAll(t, s, mailLine)
		if len(broken) > 0 {
			t.Fatalf("round %d: got %d broken records", round, len(broken))
		}
		now, last := make(map[int]bool), [2]uint64{}
		for _, rec := range whole {
			i := recordNumber(t, rec)
			switch {
			case now[i]:
				t.Errorf("round %d: record %d is there twice", round, i)
			case !there[i] && !f.put[i] && !f.trying[i]:
				t.Errorf("round %d: record %d is there, but was not put", round, i)
			case f.surely[i]:
				t.Errorf("round %d: record %d was done, and came back", round, i)
			case f.moved[i] && !rec.Queued, rec.Queued && !f.moved[i] && !f.moving[i] && !there[i]:
				t.Errorf("round %d: record %d is in its queue: %v", round, i, rec.Queued)
			case !rec.Queued && rec.ID <= last[0]:
				t.Errorf("round %d: record %d came after ID %d", round, i, last[0])
			}
			now[i] = true
			if !rec.Queued {
				last[0] = rec.ID
			}
		}
		for _, known := range []map[int]bool{there, f.put} {
			for i := range known {
				if !now[i] && !f.done[i] {
					t.Errorf("round %d: record %d is lost", round, i)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		there = now
	}
	t.Logf("%d rounds, %d records, %d there at last", rounds, next, len(there))
}

func recordNumber(t testing.TB, r store.SpoolRecord) (i int) {
	t.Helper()
	if _, err := fmt.Sscanf(string(r.Body), "record %d end", &i); err != nil {
		t.Fatalf("got %.50q: %v", r.Body, err)
	}
	return i
}

// killSpool lets a child work, kills it, and returns what the child has reported.
func killSpool(t *testing.T, dir string, from int, r *rand.Rand) spoolFates {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestSpoolUntilKilled$", "-seed="+strconv.FormatUint(r.Uint64(), 10))
	child.Env = append(os.Environ(), linesKilledIn+"="+dir, linesKilledFrom+"="+strconv.Itoa(from))
	var trouble bytes.Buffer
	child.Stderr = &trouble
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	first, err := said.ReadString('\n')
	if err != nil {
		child.Wait()
		t.Fatalf("the child said %q, error %v\n%s", first, err, &trouble)
	}
	killing := time.AfterFunc(time.Duration(r.Int64N(int64(150*time.Millisecond))), func() { child.Process.Kill() })
	rest, err := io.ReadAll(said)
	if err != nil {
		t.Error(err)
	}
	if killing.Stop() {
		t.Errorf("the child ended by itself\n%s", &trouble)
	}
	child.Wait()
	f := spoolFates{map[int]bool{}, map[int]bool{}, map[int]bool{}, map[int]bool{}, map[int]bool{}, map[int]bool{}, from}
	var ended, carried []int // of the log: done; and done before the Put at work began
	for line := range bytes.Lines(append([]byte(first), rest...)) {
		var what string
		var at, n int
		if _, err := fmt.Sscanf(string(line), "%s %d %d\n", &what, &at, &n); err != nil {
			t.Fatalf("the child said %q: %v", line, err)
		}
		for i := at; i < at+n; i++ {
			switch what {
			case "puts":
				f.trying[i] = true
				f.next = i + 1
			case "put":
				f.put[i] = true
			case "ends":
				f.done[i] = true
			case "ended":
				ended = append(ended, i)
			case "moves":
				f.moving[i] = true
			case "moved":
				f.moved[i] = true
			}
		}
		switch what {
		case "puts":
			carried, ended = append(carried, ended...), nil
		case "put":
			for _, i := range carried {
				f.surely[i] = true
			}
			carried = nil
		}
	}
	return f
}

func TestSpoolUntilKilled(t *testing.T) {
	dir := os.Getenv(linesKilledIn)
	if dir == "" {
		t.Skip("it runs in a process of its own, which TestSpoolKilled starts")
	}
	next, err := strconv.Atoi(os.Getenv(linesKilledFrom))
	if err != nil {
		t.Fatal(err)
	}
	say := func(what string, from, n int) { fmt.Printf("%s %d %d\n", what, from, n) }
	s := openTestSpool(t, dir, Options{SpoolBytes: 64 << 20}) // segments of 1 MiB
	r := rand.New(rand.NewPCG(*seed, 7))
	held := make(map[int]store.SpoolRecord)
	whole, _ := takeAll(t, s, mailLine)
	for _, rec := range whole {
		held[recordNumber(t, rec)] = rec
	}
	for { // until it is killed
		n := 1 + r.IntN(1500)
		list := spoolRecords(next, n)
		say("puts", next, n)
		putAll(t, s, mailLine, list)
		say("put", next, n)
		for i, rec := range list {
			held[next+i] = rec
		}
		next += n
		for i, rec := range held { // in some order
			switch k := r.IntN(10); {
			case k < 6:
				say("ends", i, 1)
				s.Done(mailLine, rec.SpoolKey)
				if !rec.Queued {
					say("ended", i, 1)
				}
				delete(held, i)
			case k == 6 && !rec.Queued && r.IntN(5) == 0:
				rec.Queued = true
				say("moves", i, 1)
				putAll(t, s, mailLine, []store.SpoolRecord{rec})
				say("moved", i, 1)
				held[i] = rec
			}
		}
	}
}
