package boltstore

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// What TestSpoolKilled tells its child.
const (
	killedIn   = "BOLTSTORE_KILLED_IN"
	killedFrom = "BOLTSTORE_KILLED_FROM" // the number of its first record
)

// A process that is killed at any moment leaves each record that a Put had put,
// the records of a Put that was at work all or not at all, and of those that were
// done only such whose end was not written yet.
func TestSpoolKilled(t *testing.T) {
	if os.Getenv(killedIn) != "" {
		t.Skip("this is the process that is killed")
	}
	rounds := 5
	if *long {
		rounds = 300
	}
	k := &killed{t: t, dir: t.TempDir(), r: rand.New(rand.NewPCG(*seed, 2)), there: make(map[int]bool)}
	again, cut := 0, 0
	for round := range rounds {
		j := k.round()
		a, c := k.check(fmt.Sprintf("round %d", round), j)
		again += a
		cut += c
	}
	consistent(t, filepath.Join(k.dir, spoolFileName))
	if k.puts == 0 || k.ends == 0 {
		t.Errorf("got %d Puts and %d ends, want some of both", k.puts, k.ends)
	}
	t.Logf("%d rounds, %d Puts, %d of those at work were there; %d records were done and durably so, %d that were done came again", rounds, k.puts, cut, k.ends, again)
}

// killed are the rounds in one directory.
type killed struct {
	t          *testing.T
	dir        string
	r          *rand.Rand
	next       int          // number of the next record
	there      map[int]bool // the records the file had when it was last looked at
	puts, ends int
}

// journal is what a child said before it was killed.
type journal struct {
	put    map[int]bool // records
	trying []int        // records of the Put at work
	done   map[int]bool // records; true: the file must know
}

// round has a child work until it is killed.
func (k *killed) round() journal {
	child := exec.Command(os.Args[0], "-test.run=^TestSpoolUntilKilled$", "-seed="+strconv.FormatUint(k.r.Uint64(), 10))
	child.Env = append(os.Environ(), killedIn+"="+k.dir, killedFrom+"="+strconv.Itoa(k.next))
	var trouble bytes.Buffer
	child.Stderr = &trouble
	out, err := child.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		k.t.Fatal(err)
	}
	said := bufio.NewReader(out)
	first, err := said.ReadString('\n')
	if err != nil {
		child.Wait()
		k.t.Fatalf("the child said %q, error %v\n%s", first, err, &trouble)
	}
	killing := time.AfterFunc(time.Duration(k.r.Int64N(int64(60*time.Millisecond))), func() { child.Process.Kill() })
	rest, err := io.ReadAll(said)
	if err != nil {
		k.t.Error(err)
	}
	if killing.Stop() {
		k.t.Errorf("the child ended by itself\n%s", &trouble)
	}
	child.Wait()
	return k.read(append([]byte(first), rest...))
}

// read understands what a child said: before a Put and after it, before some are
// done and after.
func (k *killed) read(said []byte) journal {
	j := journal{put: make(map[int]bool), done: make(map[int]bool)}
	var ended, carried []int // behind Done; and before the Put at work began
	for line := range bytes.Lines(said) {
		var what string
		var from, n int
		if _, err := fmt.Sscanf(string(line), "%s %d %d\n", &what, &from, &n); err != nil {
			k.t.Fatalf("the child said %q: %v", line, err)
		}
		var list []int
		for i := range n {
			list = append(list, from+i)
		}
		switch what {
		case "puts":
			j.trying, carried, ended = list, ended, nil
			k.next = from + n
		case "put":
			k.puts++
			for _, i := range list {
				j.put[i] = true
			}
			for _, i := range carried {
				j.done[i] = true
				k.ends++
			}
			j.trying, carried = nil, nil
		case "ends":
			for _, i := range list {
				j.done[i] = false
			}
		case "ended":
			ended = append(ended, list...)
		}
	}
	return j
}

// check compares what is there with what a child said. again is how many records
// are there though they were done, cut how many Puts are that nobody was told of.
func (k *killed) check(name string, j journal) (again, cut int) {
	k.t.Helper()
	s, err := Open(k.dir, Options{})
	if err != nil {
		k.t.Fatal(err)
	}
	defer s.Close()
	if aside := s.SetAside(); len(aside) > 0 {
		k.t.Fatalf("%s: %v", name, aside)
	}
	there, last := make(map[int]bool), -1
	for _, r := range takeAll(k.t, s.Spool(), testQueue) {
		i := number(k.t, r)
		if i <= last {
			k.t.Fatalf("%s: record %.20q came after %d", name, r.Body, last)
		}
		last = i
		there[i] = true
	}
	for i := range k.there {
		j.put[i] = true
	}
	if len(j.trying) > 0 && there[j.trying[0]] {
		cut = 1
		for _, i := range j.trying {
			j.put[i] = true
		}
	}
	for i := range j.put {
		durably, done := j.done[i]
		switch {
		case !done && !there[i]:
			k.t.Errorf("%s: record %d is lost", name, i)
		case done && durably && there[i]:
			k.t.Errorf("%s: record %d came again, though the file should know that it is done", name, i)
		case done && there[i]:
			again++
		}
	}
	for i := range there {
		if !j.put[i] {
			k.t.Errorf("%s: record %d is there, which was not put, or in part", name, i)
		}
	}
	k.there = there
	return again, cut
}

func TestSpoolUntilKilled(t *testing.T) {
	dir := os.Getenv(killedIn)
	if dir == "" {
		t.Skip("it runs in a process of its own, which TestSpoolKilled starts")
	}
	from, err := strconv.Atoi(os.Getenv(killedFrom))
	if err != nil {
		t.Fatal(err)
	}
	s := openSpool(t, dir, Options{})
	var speaking sync.Mutex
	say := func(what string, from, n int) {
		speaking.Lock()
		defer speaking.Unlock()
		fmt.Printf("%s %d %d\n", what, from, n)
	}
	type batch struct {
		from int
		ids  []uint64
	}
	ending := make(chan batch, 20)
	go func() {
		r := rand.New(rand.NewPCG(*seed, 4))
		for b := range ending {
			for at := 0; at < len(b.ids); {
				n := min(len(b.ids)-at, 1+r.IntN(100))
				if r.IntN(6) > 0 { // else these stay
					say("ends", b.from+at, n)
					s.Done(testQueue, b.ids[at:at+n]...)
					say("ended", b.from+at, n)
				}
				at += n
			}
		}
	}()
	// What an earlier process left is done, so that it does not become more and more.
	for _, r := range takeAll(t, s, testQueue) {
		ending <- batch{number(t, r), []uint64{r.ID}}
	}
	r := rand.New(rand.NewPCG(*seed, 3))
	for { // until it is killed
		n := 1 + r.IntN(1500)
		list := waiting(from, n, 100)
		say("puts", from, n)
		if err := s.Put(ctx, list); err != nil {
			t.Fatal(err)
		}
		say("put", from, n)
		b := batch{from: from}
		for _, r := range list.Records {
			b.ids = append(b.ids, r.ID)
		}
		from += n
		ending <- b
	}
}
