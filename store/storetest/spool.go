package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

const unlimited = 1 << 40 // bytes

// Spool tests a store.Spool. place makes a new place for each test.
func Spool(t *testing.T, place func(t *testing.T) SpoolPlace) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, SpoolPlace)
	}{
		{"what is put is in its caller's hands", testSpoolPut},
		{"take keeps order and limits", testSpoolTake},
		{"what is returned stands in its old place", testSpoolReturn},
		{"what is done is gone", testSpoolDone},
		{"a move keeps the ID", testSpoolMove},
		{"devices come by pages", testSpoolDevices},
		{"a sample is from anywhere", testSpoolSample},
		{"what nobody holds", testSpoolNotHeld},
		{"records are as they were", testSpoolRecords},
		{"what cannot be kept", testSpoolRefuses},
		{"a full spool", testSpoolFull},
		{"an app's own room", testSpoolOwnRoom},
		{"a device's bound", testSpoolDeviceFull},
		{"what is done gives its space back", testSpoolSpace},
		{"what has expired makes room", testSpoolSweep},
		{"a context that has ended", testSpoolContext},
		{"many at once", testSpoolConcurrent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, place(t))
		})
	}
	t.Run("random histories", func(t *testing.T) {
		t.Parallel()
		randomSpool(t, func() SpoolPlace { return place(t) })
	})
}

var (
	mail  = store.Line{App: "mail", Environment: "production"}
	other = store.Line{App: "mail", Environment: "production", Topic: "com.example.other"}
	news  = store.Line{App: "news", Environment: "sandbox"}
)

// logged returns n records for the log whose bodies are numbers, beginning with from. Each
// is for another device.
func logged(from, n int) []store.SpoolRecord {
	list := make([]store.SpoolRecord, n)
	for i := range list {
		list[i].Token, list[i].Body = fmt.Append(nil, "device ", from+i), fmt.Append(nil, from+i)
	}
	return list
}

// queued returns such records for one device's queue.
func queued(token string, from, n int) []store.SpoolRecord {
	list := logged(from, n)
	for i := range list {
		list[i].Token, list[i].Queued = []byte(token), true
	}
	return list
}

func onto(l store.Line, list []store.SpoolRecord) store.SpoolBatch {
	return store.SpoolBatch{Line: l, Records: list}
}

func putLine(t rapid.TB, s store.Spool, l store.Line, list []store.SpoolRecord) []store.SpoolKey {
	t.Helper()
	must(t, s.Put(ctx, onto(l, list)))
	return lineKeys(list)
}

func lineKeys(list []store.SpoolRecord) (keys []store.SpoolKey) {
	for _, r := range list {
		keys = append(keys, r.SpoolKey)
	}
	return keys
}

func lineBodies(list []store.SpoolRecord) string {
	var all []string
	for _, r := range list {
		all = append(all, string(r.Body))
	}
	return strings.Join(all, " ")
}

// checkLine takes everything that waits in a line's log, and checks its bodies.
func checkLine(t rapid.TB, s store.Spool, l store.Line, want string) []store.SpoolKey {
	t.Helper()
	if got, want := s.Waiting(l), len(strings.Fields(want)); got != want {
		t.Errorf("got %d waiting in %v, want %d", got, l, want)
	}
	list, err := s.Take(ctx, l, 1<<20, unlimited)
	must(t, err)
	if got := lineBodies(list); got != want {
		t.Errorf("got %q from %v, want %q", got, l, want)
	}
	return lineKeys(list)
}

// checkQueue takes everything that waits in a device's queue, and checks its bodies.
func checkQueue(t rapid.TB, s store.Spool, l store.Line, token, want string) []store.SpoolRecord {
	t.Helper()
	list, err := s.TakeOf(ctx, l, []byte(token), 1<<20, unlimited)
	must(t, err)
	if got := lineBodies(list); got != want {
		t.Errorf("got %q from device %q, want %q", got, token, want)
	}
	return list
}

func checkLines(t rapid.TB, s store.Spool, want ...store.Line) {
	t.Helper()
	if got := s.Lines(); !slices.Equal(got, want) {
		t.Errorf("got lines %v, want %v", got, want)
	}
}

func testSpoolPut(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{})
	must(t, s.Put(ctx))
	must(t, s.Put(ctx, onto(mail, nil)))
	checkLines(t, s)
	batches := []store.SpoolBatch{
		onto(mail, logged(0, 2)), onto(news, logged(10, 1)), onto(mail, queued("d", 20, 1)), onto(mail, logged(2, 1)),
	}
	must(t, s.Put(ctx, batches...))
	last := uint64(0)
	for _, b := range batches {
		for _, r := range b.Records {
			if r.ID <= last {
				t.Errorf("ID %d came after %d", r.ID, last)
			}
			last = r.ID
		}
	}
	checkLine(t, s, mail, "")
	checkQueue(t, s, mail, "d", "")
	checkLines(t, s, mail, news)
	s = p.Kill(Settings{})
	checkLine(t, s, mail, "0 1 2")
	checkLine(t, s, news, "10")
	checkQueue(t, s, mail, "d", "20")
	if keys := putLine(t, s, mail, logged(3, 1)); keys[0].ID <= last {
		t.Errorf("ID %d came after %d", keys[0].ID, last)
	}
}

func testSpoolTake(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{})
	for i := range 4 {
		list := logged(3*i, 3)
		for j := range list {
			list[j].Token = nil
		}
		putLine(t, s, mail, list)
		putLine(t, s, other, logged(100+i, 1))
	}
	s = p.Open(Settings{})
	for _, tt := range []struct {
		limit int
		bytes int64
		want  string
	}{
		{0, unlimited, ""},
		{1, unlimited, "0"},
		{3, unlimited, "1 2 3"},
		{9, 0, "4"},
		{9, 1, "5"},
		{9, 2, "6 7"},
		{9, 3, "8 9"},
		{9, unlimited, "10 11"},
		{9, unlimited, ""},
	} {
		got, err := s.Take(ctx, mail, tt.limit, tt.bytes)
		must(t, err)
		if got := lineBodies(got); got != tt.want {
			t.Errorf("%d and %d bytes: got %q, want %q", tt.limit, tt.bytes, got, tt.want)
		}
	}
	keys := putLine(t, s, mail, queued("d", 20, 4))
	s.Return(mail, keys...)
	for _, tt := range []struct {
		limit int
		bytes int64
		want  string
	}{{0, unlimited, ""}, {1, unlimited, "20"}, {9, 0, "21"}, {9, unlimited, "22 23"}, {9, unlimited, ""}} {
		got, err := s.TakeOf(ctx, mail, []byte("d"), tt.limit, tt.bytes)
		must(t, err)
		if got := lineBodies(got); got != tt.want {
			t.Errorf("queue, %d and %d bytes: got %q, want %q", tt.limit, tt.bytes, got, tt.want)
		}
	}
}

func testSpoolReturn(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{})
	first := putLine(t, s, mail, logged(0, 5))
	second := putLine(t, s, mail, logged(5, 5))
	s.Return(mail, second[3], first[2], second[0])
	checkLine(t, s, mail, "2 5 8")
	s.Return(mail, first[1])
	s.Return(mail, second[1], second[0])
	checkLine(t, s, mail, "1 5 6")
	s.Return(mail, second...)
	checkLine(t, s, mail, "5 6 7 8 9")
	s.Return(mail, second...)
	s.Return(mail, first...)
	got, err := s.Take(ctx, mail, 3, unlimited)
	must(t, err)
	if got := lineBodies(got); got != "0 1 2" {
		t.Errorf("got %q, want the first three", got)
	}
	s.Return(mail, first[1])
	putLine(t, s, mail, logged(10, 1))
	checkLine(t, s, mail, "1 3 4 5 6 7 8 9")
}

func testSpoolDone(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{})
	first, second := putLine(t, s, mail, logged(0, 5)), putLine(t, s, mail, queued("d", 5, 5))
	s.Done(mail, first[1], second[4])
	s.Return(mail, first[2], second[1])
	must(t, s.Flush(ctx))
	must(t, s.Flush(ctx))
	checkLine(t, s, mail, "2")
	checkQueue(t, s, mail, "d", "6")
	s = p.Kill(Settings{})
	s.Done(mail, checkLine(t, s, mail, "0 2 3 4")[:3]...)
	s.Done(mail, lineKeys(checkQueue(t, s, mail, "d", "5 6 7 8"))[:3]...)
	checkQueue(t, s, mail, "d", "")
	s = p.Open(Settings{}) // without a Flush
	s.Done(mail, checkLine(t, s, mail, "4")...)
	checkLines(t, s, mail)
	s.Done(mail, lineKeys(checkQueue(t, s, mail, "d", "8"))...)
	checkLines(t, s)
	if s.Queued(mail, []byte("d")) {
		t.Error("there is a queue though all its records are done")
	}
	must(t, s.Flush(ctx))
	s = p.Kill(Settings{})
	checkLines(t, s)
	checkLine(t, s, mail, "")
}

func testSpoolContext(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{})
	s.Return(mail, putLine(t, s, mail, logged(0, 1))...)
	s.Return(mail, putLine(t, s, mail, queued("d", 1, 1))...)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, take := s.Take(ended, mail, 1, unlimited)
	_, takeOf := s.TakeOf(ended, mail, []byte("d"), 1, unlimited)
	_, sample := s.Sample(ended, mail, 1, func([]byte) bool { return true })
	_, devices := s.Devices(ended, mail, nil, 1)
	for name, err := range map[string]error{
		"Put": s.Put(ended, onto(mail, logged(1, 1))), "Take": take, "TakeOf": takeOf, "Sample": sample,
		"Devices": devices, "Flush": s.Flush(ended),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want %v", name, err, context.Canceled)
		}
	}
	checkLine(t, s, mail, "0")
	checkQueue(t, s, mail, "d", "1")
}
