package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// Spool tests a store.Spool. place makes places, each of its own.
func Spool(t *testing.T, place func(t *testing.T) Place[store.Spool]) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, Place[store.Spool])
	}{
		{"what is put is in its owner's hands", testSpoolPut},
		{"take keeps order and limits", testSpoolTake},
		{"what is returned stands in its old place", testSpoolReturn},
		{"what is done is gone", testSpoolDone},
		{"queues do not know each other", testSpoolQueues},
		{"numbers are given once", testSpoolIDs},
		{"what nobody has", testSpoolNotHeld},
		{"large batches and large records", testSpoolLarge},
		{"records are as they were", testSpoolRecords},
		{"a full spool", testSpoolFull},
		{"a queue's own room", testSpoolOwnRoom},
		{"what has expired makes room", testSpoolSweep},
		{"what cannot be kept", testSpoolRefuses},
		{"a context that has ended", testSpoolContext},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, place(t)) })
	}
	t.Run("random histories", func(t *testing.T) {
		randomSpool(t, func() Place[store.Spool] { return place(t) })
	})
}

// queue is where most tests put what they put.
const queue = "mail/production"

const unlimited = 1 << 40 // bytes

// records are n, whose bodies say from which number on they are.
func records(from, n int) []store.SpoolRecord {
	list := make([]store.SpoolRecord, n)
	for i := range list {
		list[i] = store.SpoolRecord{Token: []byte{byte(i), 2, 3}, Body: fmt.Append(nil, from+i)}
	}
	return list
}

func in(queue string, list []store.SpoolRecord) store.SpoolBatch {
	return store.SpoolBatch{Queue: queue, Records: list}
}

// put puts records and gives their IDs.
func put(t rapid.TB, s store.Spool, queue string, list []store.SpoolRecord) []uint64 {
	t.Helper()
	must(t, s.Put(ctx, in(queue, list)))
	return ids(list)
}

func ids(list []store.SpoolRecord) (ids []uint64) {
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	return ids
}

func bodies(list []store.SpoolRecord) string {
	var all []string
	for _, r := range list {
		all = append(all, string(r.Body))
	}
	return strings.Join(all, " ")
}

func take(t rapid.TB, s store.Spool, queue string, limit int) []store.SpoolRecord {
	t.Helper()
	list, err := s.Take(ctx, queue, limit, unlimited)
	must(t, err)
	return list
}

// checkTake takes all there is.
func checkTake(t rapid.TB, s store.Spool, queue, want string) []store.SpoolRecord {
	t.Helper()
	if got, want := s.Waiting(queue), len(strings.Fields(want)); got != want {
		t.Errorf("got %d that wait in %s, want %d", got, queue, want)
	}
	list := take(t, s, queue, 1<<20)
	if got := bodies(list); got != want {
		t.Errorf("got %q of %s, want %q", got, queue, want)
	}
	if got := s.Waiting(queue); got != 0 {
		t.Errorf("got %d that wait in %s behind all that was taken, want 0", got, queue)
	}
	return list
}

func testSpoolPut(t *testing.T, open Place[store.Spool]) {
	s := open(Settings{})
	must(t, s.Put(ctx))
	must(t, s.Put(ctx, store.SpoolBatch{Queue: queue}))
	checkTake(t, s, queue, "")
	if got := s.Queues(); len(got) != 0 {
		t.Errorf("got queues %q of an empty spool", got)
	}
	put(t, s, queue, records(0, 3))
	checkTake(t, s, queue, "")
	if got := s.Queues(); !slices.Equal(got, []string{queue}) {
		t.Errorf("got queues %q, want %q", got, queue)
	}
	checkTake(t, open(Settings{}), queue, "0 1 2")
	checkTake(t, open(Settings{}), queue, "0 1 2")
}

func testSpoolTake(t *testing.T, open Place[store.Spool]) {
	s := open(Settings{})
	for i := range 4 {
		put(t, s, queue, records(3*i, 3))
	}
	s = open(Settings{})
	for _, tt := range []struct {
		limit int
		bytes int64
		want  string
	}{
		{0, unlimited, ""},
		{1, unlimited, "0"},
		{3, unlimited, "1 2 3"},
		{9, 0, "4"},
		{9, 4, "5"},
		{9, 8, "6 7"},
		{9, 9, "8 9"},
		{9, unlimited, "10 11"},
		{9, unlimited, ""},
	} {
		got, err := s.Take(ctx, queue, tt.limit, tt.bytes)
		must(t, err)
		if got := bodies(got); got != tt.want {
			t.Errorf("%d and %d bytes: got %q, want %q", tt.limit, tt.bytes, got, tt.want)
		}
	}
	put(t, s, queue, records(12, 1))
	checkTake(t, s, queue, "")
}

func testSpoolReturn(t *testing.T, open Place[store.Spool]) {
	s := open(Settings{})
	first := put(t, s, queue, records(0, 5))
	second := put(t, s, queue, records(5, 5))
	s.Return(queue, second[3], first[2], second[0])
	checkTake(t, s, queue, "2 5 8")
	s.Return(queue, first[1])
	s.Return(queue, second[1], second[0])
	checkTake(t, s, queue, "1 5 6")
	s.Return(queue, second...)
	checkTake(t, s, queue, "5 6 7 8 9")
	s.Return(queue, first[4], first[1])
	s.Return(queue, second...)
	s.Return(queue, first[0], first[2], first[3])
	if got := bodies(take(t, s, queue, 3)); got != "0 1 2" {
		t.Errorf("got %q, want the first three", got)
	}
	s.Return(queue, first[1])
	checkTake(t, s, queue, "1 3 4 5 6 7 8 9")
}

func testSpoolDone(t *testing.T, open Place[store.Spool]) {
	s := open(Settings{})
	first := put(t, s, queue, records(0, 5))
	second := put(t, s, queue, records(5, 5))
	s.Done(queue, first[1], second[4])
	s.Return(queue, first[2])
	must(t, s.Flush(ctx))
	must(t, s.Flush(ctx))
	checkTake(t, s, queue, "2")
	s = open(Settings{})
	s.Done(queue, ids(checkTake(t, s, queue, "0 2 3 4 5 6 7 8"))[:5]...)
	s = open(Settings{}) // without a Flush
	put(t, s, queue, records(10, 2))
	s.Done(queue, ids(checkTake(t, s, queue, "6 7 8"))...)
	if got := s.Queues(); !slices.Equal(got, []string{queue}) {
		t.Errorf("got queues %q, want %q", got, queue)
	}
	s = open(Settings{})
	s.Done(queue, ids(checkTake(t, s, queue, "10 11"))...)
	if got := s.Queues(); len(got) != 0 {
		t.Errorf("got queues %q, want none", got)
	}
	must(t, s.Flush(ctx))
	checkTake(t, open(Settings{}), queue, "")
}

func testSpoolQueues(t *testing.T, open Place[store.Spool]) {
	const other = "mail/sandbox"
	s := open(Settings{})
	batches := []store.SpoolBatch{in(queue, records(0, 2)), in(other, records(10, 2)), in(queue, records(2, 1))}
	must(t, s.Put(ctx, batches...))
	if got := s.Queues(); !slices.Equal(got, []string{queue, other}) {
		t.Errorf("got queues %q", got)
	}
	s.Done(other, batches[1].Records[1].ID)
	s.Return(other, ids(batches[0].Records)...) // of another queue
	s.Return("nobody's", 1)
	s.Done("nobody's", 1)
	s = open(Settings{})
	checkTake(t, s, other, "10")
	checkTake(t, s, queue, "0 1 2")
	checkTake(t, s, "nobody's", "")
}

func testSpoolIDs(t *testing.T, open Place[store.Spool]) {
	var last uint64
	for i := range 10 {
		s := open(Settings{})
		for range 3 {
			for _, id := range put(t, s, queue, records(0, 40)) {
				if id <= last {
					t.Fatalf("round %d: ID %d came after %d", i, id, last)
				}
				last = id
				s.Done(queue, id)
			}
			must(t, s.Flush(ctx))
		}
	}
}

func testSpoolNotHeld(t *testing.T, open Place[store.Spool]) {
	s := open(Settings{})
	all := put(t, s, queue, records(0, 4))
	s.Done(queue, all[0], all[0])
	s.Return(queue, all[0], all[1])
	s.Return(queue, all[1])
	s.Done(queue, all[1])
	s.Done(queue, all[3]+1, all[3]+1<<40, 0)
	s.Return(queue, all[3]+1, 1<<63)
	checkTake(t, s, queue, "1")
	checkTake(t, open(Settings{}), queue, "1 2 3")
}

func testSpoolLarge(t *testing.T, open Place[store.Spool]) {
	s := open(Settings{})
	many := records(0, 5000)
	put(t, s, queue, many)
	put(t, s, queue, records(5000, 1))
	if !slices.IsSorted(ids(many)) {
		t.Error("the IDs are not in order")
	}
	s = open(Settings{})
	for from := 0; from < 5001; from += 700 {
		got := take(t, s, queue, 700)
		if got, want := bodies(got), bodies(records(from, min(700, 5001-from))); got != want {
			t.Fatalf("from %d: got %.40q, want %.40q", from, got, want)
		}
		s.Done(queue, ids(got)...)
	}
	checkTake(t, open(Settings{}), queue, "")

	s = open(Settings{})
	large := make([]store.SpoolRecord, 5)
	for i := range large {
		large[i] = store.SpoolRecord{Token: bytes.Repeat([]byte{byte(i)}, 1024), Body: bytes.Repeat([]byte{byte(i)}, 1<<20-i)}
	}
	put(t, s, queue, large)
	got := take(t, open(Settings{}), queue, 5)
	if !slices.EqualFunc(got, large, sameRecord) {
		t.Errorf("got %d large records back that are not as they were", len(got))
	}
}

func sameRecord(a, b store.SpoolRecord) bool {
	return a.ID == b.ID && a.Expires.Equal(b.Expires) && bytes.Equal(a.Token, b.Token) && bytes.Equal(a.Body, b.Body)
}

func testSpoolRecords(t *testing.T, open Place[store.Spool]) {
	s := open(Settings{})
	want := []store.SpoolRecord{
		{Token: []byte("token"), Body: []byte("body"), Expires: at(0)},
		{},
		{Body: []byte{0}, Expires: time.Unix(1, 0)},
		{Token: []byte{0}, Expires: time.Unix(1<<33, 0)},
	}
	list := slices.Clone(want)
	list[0].Token, list[0].Body = []byte("token"), []byte("body")
	list[0].ID = 77 // which is not looked at
	for i, id := range put(t, s, queue, list) {
		want[i].ID = id
	}
	clear(list[0].Token)
	clear(list[0].Body)
	s = open(Settings{})
	got := take(t, s, queue, 9)
	if !slices.EqualFunc(got, want, sameRecord) || !got[1].Expires.IsZero() {
		t.Errorf("got %v, want %v", got, want)
	}
	s.Return(queue, ids(got)...)
	for i := range got {
		_ = append(got[i].Token, 99)
		_ = append(got[i].Body, 99)
	}
	if !slices.EqualFunc(got, want, sameRecord) {
		t.Errorf("got records that share memory: %v", got)
	}
	for i := range got {
		clear(got[i].Token)
		clear(got[i].Body)
	}
	if got := take(t, s, queue, 9); !slices.EqualFunc(got, want, sameRecord) {
		t.Errorf("got %v again, want %v", got, want)
	}
}

func testSpoolFull(t *testing.T, open Place[store.Spool]) {
	settings := Settings{Spool: 197_500, Now: atEpoch}
	s := open(settings)
	body := make([]byte, 1000)
	batch := func(n int) []store.SpoolRecord {
		list := make([]store.SpoolRecord, n)
		for i := range list {
			list[i].Body = body
		}
		return list
	}
	fits := 0
	var first []uint64
	for ; ; fits++ {
		list := batch(10)
		err := s.Put(ctx, in(queue, list))
		if errors.Is(err, store.ErrSpoolFull) {
			break
		}
		must(t, err)
		if fits == 0 {
			first = ids(list)
		}
	}
	if fits < 14 || fits > 20 {
		t.Errorf("%d times 10,000 bytes went in, want almost 20", fits)
	}
	full := func(s store.Spool) {
		t.Helper()
		for _, batches := range [][]store.SpoolBatch{
			{in(queue, batch(10))},
			{in("other", batch(10))},
			{in("other", batch(1)), in(queue, batch(10))},
		} {
			if err := s.Put(ctx, batches...); !errors.Is(err, store.ErrSpoolFull) {
				t.Errorf("got %v, want %v", err, store.ErrSpoolFull)
			}
		}
	}
	full(s)
	s.Done(queue, first[:9]...)
	s.Return(queue, first[9])
	s = open(settings)
	full(s)
	if got := s.Waiting(queue) + s.Waiting("other"); got != 10*fits-9 {
		t.Errorf("got %d that wait, want %d", got, 10*fits-9)
	}
	s.Done(queue, ids(take(t, s, queue, 1))...)
	put(t, s, "other", batch(10)) // at once
	s = open(settings)
	full(s)
	if got := s.Waiting("other"); got != 10 {
		t.Errorf("got %d that wait, want 10", got)
	}
}

func testSpoolOwnRoom(t *testing.T, open Place[store.Spool]) {
	settings := Settings{Spool: 8 << 20, Now: atEpoch}
	s := open(settings)
	full := func(queue string, most int) (count int) {
		t.Helper()
		for ; count < most; count++ {
			err := s.Put(ctx, in(queue, []store.SpoolRecord{{Body: make([]byte, 3000)}}))
			if errors.Is(err, store.ErrSpoolFull) {
				return count
			}
			must(t, err)
		}
		return count
	}
	if got := full(queue, 8<<20/3000); got < 7<<20/4096 {
		t.Errorf("%d records of 3,000 bytes went in, want more", got)
	}
	for _, other := range []string{"second", "third"} {
		if got := full(other, 100); got < 3 || got > 20 {
			t.Errorf("%d records of 3,000 bytes of queue %s went in, want a few", got, other)
		}
	}
	s = open(settings)
	if got := full(queue, 1) + full("second", 1) + full("third", 1); got != 0 {
		t.Errorf("%d more went in", got)
	}
	s.Done("second", ids(take(t, s, "second", 2))...)
	if full(queue, 1) != 0 || full("second", 1) != 1 {
		t.Error("the room of one queue was another's")
	}
}

func testSpoolSweep(t *testing.T, open Place[store.Spool]) {
	now := epoch
	settings := Settings{Spool: 215_000, Now: func() time.Time { return now }}
	s := open(settings)
	batch := func(expires ...time.Time) []store.SpoolRecord {
		list := make([]store.SpoolRecord, len(expires))
		for i := range list {
			list[i].Body, list[i].Expires = make([]byte, 45_000), expires[i]
		}
		return list
	}
	second := at(1000)
	kept := put(t, s, queue, batch(second))              // in its owner's hands
	mixed := put(t, s, queue, batch(second, at(60_000))) // of which one has not expired
	s.Return(queue, mixed...)
	gone := put(t, s, "other", batch(second))
	s.Return("other", gone...)
	more := in("third", batch(time.Time{}))
	if err := s.Put(ctx, more); !errors.Is(err, store.ErrSpoolFull) {
		t.Fatalf("got %v, want %v", err, store.ErrSpoolFull)
	}
	now = now.Add(time.Second)
	must(t, s.Put(ctx, more))
	if err := s.Put(ctx, more); !errors.Is(err, store.ErrSpoolFull) {
		t.Errorf("got %v, want %v", err, store.ErrSpoolFull)
	}
	if got := s.Waiting("other"); got != 0 {
		t.Errorf("got %d that wait and have expired, want 0", got)
	}
	s.Return(queue, kept...)
	s = open(settings)
	for queue, want := range map[string]int{queue: 3, "other": 0, "third": 1} {
		if got := s.Waiting(queue); got != want {
			t.Errorf("%s: got %d, want %d", queue, got, want)
		}
	}
}

func testSpoolRefuses(t *testing.T, open Place[store.Spool]) {
	s := open(Settings{})
	good := in(queue, records(0, 1))
	for name, bad := range map[string]store.SpoolBatch{
		"no name":      in("", records(0, 1)),
		"a long name":  in(strings.Repeat("q", 1025), records(0, 1)),
		"a long token": in(queue, []store.SpoolRecord{{Token: make([]byte, 1025)}}),
		"a large body": in(queue, []store.SpoolRecord{{Body: make([]byte, 1<<20+1)}}),
	} {
		if err := s.Put(ctx, good, bad); err == nil || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: got %v, want a sentence", name, err)
		}
	}
	long := strings.Repeat("q", 1024)
	put(t, s, long, records(7, 1))
	s = open(Settings{})
	checkTake(t, s, long, "7")
	checkTake(t, s, queue, "")
}

func testSpoolContext(t *testing.T, open Place[store.Spool]) {
	s := open(Settings{})
	all := put(t, s, queue, records(0, 1))
	s.Return(queue, all...)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := s.Take(ended, queue, 1, unlimited)
	for name, err := range map[string]error{
		"Put":   s.Put(ended, in(queue, records(1, 1))),
		"Take":  err,
		"Flush": s.Flush(ended),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want %v", name, err, context.Canceled)
		}
	}
	checkTake(t, s, queue, "0")
}
