package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// LineSpool tests a store.LineSpool. place makes places, each of its own.
func LineSpool(t *testing.T, place func(t *testing.T) LinePlace) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, LinePlace)
	}{
		{"what is put is in its caller's hands", testLinePut},
		{"take keeps order and limits", testLineTake},
		{"what is returned stands in its old place", testLineReturn},
		{"what is done is gone", testLineDone},
		{"a move keeps the ID", testLineMove},
		{"devices come by pages", testLineDevices},
		{"a sample is from anywhere", testLineSample},
		{"what nobody holds", testLineNotHeld},
		{"records are as they were", testLineRecords},
		{"what cannot be kept", testLineRefuses},
		{"a full spool", testLineFull},
		{"an app's own room", testLineOwnRoom},
		{"a device's bound", testLineDeviceFull},
		{"what is done gives its space back", testLineSpace},
		{"what has expired makes room", testLineSweep},
		{"a context that has ended", testLineContext},
		{"many at once", testLineConcurrent},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, place(t)) })
	}
	t.Run("random histories", func(t *testing.T) { randomLineSpool(t, func() LinePlace { return place(t) }) })
}

var (
	mail  = store.Line{App: "mail", Environment: "production"}
	other = store.Line{App: "mail", Environment: "production", Topic: "com.example.other"}
	news  = store.Line{App: "news", Environment: "sandbox"}
)

// logged are n records for the log, whose bodies say from which number on they are.
// Each is of a device of its own.
func logged(from, n int) []store.LineRecord {
	list := make([]store.LineRecord, n)
	for i := range list {
		list[i] = store.LineRecord{LineKey: store.LineKey{Token: fmt.Append(nil, "device ", from+i)}, Body: fmt.Append(nil, from+i)}
	}
	return list
}

// queued are such records for one device's queue.
func queued(token string, from, n int) []store.LineRecord {
	list := logged(from, n)
	for i := range list {
		list[i].Token, list[i].Queued = []byte(token), true
	}
	return list
}

func onto(l store.Line, list []store.LineRecord) store.LineBatch {
	return store.LineBatch{Line: l, Records: list}
}

func putLine(t rapid.TB, s store.LineSpool, l store.Line, list []store.LineRecord) []store.LineKey {
	t.Helper()
	must(t, s.Put(ctx, onto(l, list)))
	return lineKeys(list)
}

func lineKeys(list []store.LineRecord) (keys []store.LineKey) {
	for _, r := range list {
		keys = append(keys, r.LineKey)
	}
	return keys
}

func lineBodies(list []store.LineRecord) string {
	var all []string
	for _, r := range list {
		all = append(all, string(r.Body))
	}
	return strings.Join(all, " ")
}

// checkLine takes all there is of a log.
func checkLine(t rapid.TB, s store.LineSpool, l store.Line, want string) []store.LineKey {
	t.Helper()
	if got, want := s.Waiting(l), len(strings.Fields(want)); got != want {
		t.Errorf("got %d that wait in %v, want %d", got, l, want)
	}
	list, err := s.Take(ctx, l, 1<<20, unlimited)
	must(t, err)
	if got := lineBodies(list); got != want {
		t.Errorf("got %q of %v, want %q", got, l, want)
	}
	return lineKeys(list)
}

// checkQueue takes all there is of a device's queue.
func checkQueue(t rapid.TB, s store.LineSpool, l store.Line, token, want string) []store.LineRecord {
	t.Helper()
	list, err := s.TakeOf(ctx, l, []byte(token), 1<<20, unlimited)
	must(t, err)
	if got := lineBodies(list); got != want {
		t.Errorf("got %q of device %q, want %q", got, token, want)
	}
	return list
}

func checkLines(t rapid.TB, s store.LineSpool, want ...store.Line) {
	t.Helper()
	if got := s.Lines(); !slices.Equal(got, want) {
		t.Errorf("got lines %v, want %v", got, want)
	}
}

func testLinePut(t *testing.T, p LinePlace) {
	s := p.Open(Settings{})
	must(t, s.Put(ctx))
	must(t, s.Put(ctx, onto(mail, nil)))
	checkLines(t, s)
	batches := []store.LineBatch{onto(mail, logged(0, 2)), onto(news, logged(10, 1)), onto(mail, queued("d", 20, 1)), onto(mail, logged(2, 1))}
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

func testLineTake(t *testing.T, p LinePlace) {
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

func testLineReturn(t *testing.T, p LinePlace) {
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

func testLineDone(t *testing.T, p LinePlace) {
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
		t.Error("a queue is there of which all is done")
	}
	must(t, s.Flush(ctx))
	s = p.Kill(Settings{})
	checkLines(t, s)
	checkLine(t, s, mail, "")
}

func testLineMove(t *testing.T, p LinePlace) {
	s := p.Open(Settings{})
	putLine(t, s, mail, logged(0, 4))
	s = p.Open(Settings{})
	list, err := s.Take(ctx, mail, 3, unlimited)
	must(t, err)
	for i := range list {
		list[i].Token, list[i].Queued, list[i].Flags = []byte("device 0"), true, [8]byte{byte(i)}
	}
	want := slices.Clone(list)
	putLine(t, s, mail, list)
	check := func(flags byte) {
		t.Helper()
		got := checkQueue(t, s, mail, "device 0", "0 1 2")
		for i, r := range got {
			if want[i].Flags[7] = flags; !sameLineRecord(r, want[i]) {
				t.Errorf("got %v, want %v", r, want[i])
			}
		}
	}
	if !s.Queued(mail, []byte("device 0")) {
		t.Error("the device has no queue")
	}
	s = p.Kill(Settings{})
	if got := s.Stats().Lines; len(got) != 1 || got[0].Log != 1 || got[0].Queued != 3 {
		t.Errorf("got %+v, want 1 in the log and 3 in queues", got)
	}
	check(0)
	for i := range list { // as they were asked once more
		list[i].Flags[7], list[i].Body = 9, nil
	}
	putLine(t, s, mail, list)
	s = p.Kill(Settings{})
	check(9)
	checkLine(t, s, mail, "3")
}

func testLineDevices(t *testing.T, p LinePlace) {
	s := p.Open(Settings{})
	keys := make(map[string][]store.LineKey)
	for _, token := range []string{"bb", "a", "", "b", "ab", "a\x00"} {
		keys[token] = putLine(t, s, mail, queued(token, 0, 1+len(token)))
		s.Return(mail, keys[token]...)
	}
	putLine(t, s, other, queued("c", 0, 1))
	check := func(limit int, want string) {
		t.Helper()
		var got []string
		for after := []byte(nil); ; {
			page, err := s.Devices(ctx, mail, after, limit)
			must(t, err)
			if len(page) == 0 {
				break
			}
			for _, d := range page {
				got = append(got, fmt.Sprintf("%q:%d", d.Token, d.Records))
			}
			after = page[len(page)-1].Token
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("by %d: got %s, want %s", limit, got, want)
		}
	}
	check(1, `"":1 "a":2 "b":2 "a\x00":3 "ab":3 "bb":3`)
	check(4, `"":1 "a":2 "b":2 "a\x00":3 "ab":3 "bb":3`)
	checkQueue(t, s, mail, "a", "0 1")
	s.Done(mail, lineKeys(checkQueue(t, s, mail, "ab", "0 1 2"))...)
	s.Return(mail, keys["a"][1])
	check(2, `"":1 "a":1 "b":2 "a\x00":3 "bb":3`)
}

func testLineSample(t *testing.T, p LinePlace) {
	s := p.Open(Settings{})
	list := logged(0, 1000)
	for i := range list {
		list[i].Token = fmt.Append(nil, "device ", i/2) // two of each
	}
	keys := putLine(t, s, mail, list)
	putLine(t, s, other, logged(0, 10))
	s = p.Open(Settings{})
	seen := make(map[string]bool)
	for range 100 {
		got, err := s.Sample(ctx, mail, 1, func(token []byte) bool { return token[len(token)-1] != '7' })
		must(t, err)
		if len(got) != 1 || (got[0].ID-keys[0].ID)%2 != 0 || bytes.HasSuffix(got[0].Token, []byte("7")) {
			t.Fatalf("got %v, want one of a free device", got)
		}
		seen[string(got[0].Body)] = true
		s.Return(mail, got[0].LineKey)
	}
	if len(seen) < 50 {
		t.Errorf("got %d different ones of 450, want most of 100", len(seen))
	}
	for _, want := range []int{200, 300} { // and never those again
		got, err := s.Sample(ctx, mail, want, func([]byte) bool { return true })
		must(t, err)
		if len(got) != want {
			t.Errorf("got %d samples, want %d", len(got), want)
		}
	}
	if got := s.Waiting(mail); got != 500 {
		t.Errorf("got %d that wait, want 500", got)
	}
	got, err := s.Sample(ctx, mail, 1, func([]byte) bool { return true })
	must(t, err)
	if len(got) != 0 {
		t.Errorf("got %v, want none: the first of each is in somebody's hands", got)
	}
}

func testLineNotHeld(t *testing.T, p LinePlace) {
	s := p.Open(Settings{})
	all := putLine(t, s, mail, logged(0, 4))
	s.Done(mail, all[0], all[0])
	s.Return(mail, all[0], all[1])
	s.Return(mail, all[1])
	s.Done(mail, all[1])
	s.Done(other, all[2])
	s.Return(news, all[2])
	s.Done(mail, store.LineKey{ID: all[3].ID + 1}, store.LineKey{ID: 1 << 63}, store.LineKey{})
	s.Return(mail, store.LineKey{ID: all[3].ID + 1}, store.LineKey{})
	checkLine(t, s, mail, "1")
	must(t, s.Flush(ctx))
	checkLine(t, p.Kill(Settings{}), mail, "1 2 3")
}

func testLineRecords(t *testing.T, p LinePlace) {
	s := p.Open(Settings{})
	long := store.Line{App: strings.Repeat("a", 500), Environment: strings.Repeat("e", 24), Topic: strings.Repeat("t", 500)}
	want := []store.LineRecord{
		{LineKey: store.LineKey{Token: []byte("token")}, Body: []byte("body"), Expires: 1 << 33},
		{},
		{Body: []byte{0}, Expires: 1},
		{LineKey: store.LineKey{Token: bytes.Repeat([]byte{7}, store.MaxSpoolToken)}, Body: bytes.Repeat([]byte{8}, store.MaxSpoolBody)},
		{LineKey: store.LineKey{Queued: true}, Flags: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Expires: math.MaxInt64},
		{LineKey: store.LineKey{Queued: true}, Body: bytes.Repeat([]byte{8}, store.MaxSpoolBody)},
	}
	list := slices.Clone(want)
	list[0].Token, list[0].Body = []byte("token"), []byte("body")
	putLine(t, s, long, list)
	for i := range want {
		want[i].ID = list[i].ID
	}
	clear(list[0].Token)
	clear(list[0].Body)
	s = p.Kill(Settings{})
	for range 2 {
		got, err := s.Take(ctx, long, 9, unlimited)
		must(t, err)
		more, err := s.TakeOf(ctx, long, nil, 9, unlimited)
		must(t, err)
		got = append(got, more...)
		if !slices.EqualFunc(got, want, sameLineRecord) {
			t.Fatalf("got %.300v, want %.300v", got, want)
		}
		s.Return(long, lineKeys(got)...)
		for i := range got {
			clear(append(got[i].Token, 99))
			clear(append(got[i].Body, 99))
		}
	}
}

func testLineRefuses(t *testing.T, p LinePlace) {
	s := p.Open(Settings{})
	good := logged(0, 1)
	held := putLine(t, s, mail, logged(1, 1))
	for name, bad := range map[string]store.LineBatch{
		"no app":               onto(store.Line{Environment: "sandbox"}, logged(0, 1)),
		"no environment":       onto(store.Line{App: "mail"}, logged(0, 1)),
		"a long name":          onto(store.Line{App: strings.Repeat("q", 1025), Environment: "sandbox"}, logged(0, 1)),
		"a zero in a name":     onto(store.Line{App: "a\x00b", Environment: "sandbox"}, logged(0, 1)),
		"a name of no letters": onto(store.Line{App: "a\xff", Environment: "sandbox"}, logged(0, 1)),
		"a long token":         onto(mail, []store.LineRecord{{LineKey: store.LineKey{Token: make([]byte, store.MaxSpoolToken+1)}}}),
		"a large body":         onto(mail, []store.LineRecord{{Body: make([]byte, store.MaxSpoolBody+1)}}),
		"an early end":         onto(mail, []store.LineRecord{{Expires: -1}}),
		"into the log again":   onto(mail, []store.LineRecord{{LineKey: held[0]}}),
		"not in hands":         onto(mail, []store.LineRecord{{LineKey: store.LineKey{ID: 1 << 40, Queued: true}}}),
		"of another line":      onto(other, []store.LineRecord{{LineKey: store.LineKey{ID: held[0].ID, Token: held[0].Token, Queued: true}}}),
	} {
		err := s.Put(ctx, onto(mail, good), onto(mail, queued("d", 0, 1)), bad)
		if !errors.Is(err, store.ErrUnstorable) || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: got %v, want %v", name, err, store.ErrUnstorable)
		}
		if good[0].ID != 0 {
			t.Errorf("%s: got ID %d of what was not put", name, good[0].ID)
		}
	}
	if s.Queued(mail, []byte("d")) {
		t.Error("a queue is there of which nothing was put")
	}
	checkLine(t, p.Kill(Settings{}), mail, "1")
}

// sized are n records of about 1,000 bytes.
func sized(n int) []store.LineRecord {
	list := logged(0, n)
	for i := range list {
		list[i].Body = make([]byte, 1000)
	}
	return list
}

func testLineFull(t *testing.T, p LinePlace) {
	settings := Settings{Spool: 1 << 20, Reserve: 100_000}
	s := p.Open(settings)
	var keys []store.LineKey
	for {
		list := sized(10)
		err := s.Put(ctx, onto(mail, list))
		if errors.Is(err, store.ErrSpoolFull) {
			break
		}
		must(t, err)
		keys = append(keys, lineKeys(list)...)
	}
	if len(keys) < 800 || len(keys) > 1000 {
		t.Errorf("%d records of 1,000 bytes went in, want almost 1,000", len(keys))
	}
	full := func() {
		t.Helper()
		for _, batches := range [][]store.LineBatch{{onto(mail, sized(10))}, {onto(other, sized(10))}, {onto(news, sized(1)), onto(mail, sized(10))}} {
			if err := s.Put(ctx, batches...); !errors.Is(err, store.ErrSpoolFull) {
				t.Errorf("got %v, want %v", err, store.ErrSpoolFull)
			}
		}
	}
	full()
	moves := 0
	for _, k := range keys { // which has a reserve
		k.Queued = true
		err := s.Put(ctx, onto(mail, []store.LineRecord{{LineKey: k, Body: make([]byte, 1000)}}))
		if errors.Is(err, store.ErrSpoolFull) {
			break
		}
		must(t, err)
		moves++
	}
	if moves != len(keys) {
		t.Errorf("%d of %d could be moved", moves, len(keys))
	}
	s = p.Open(settings)
	full()
	list, err := s.TakeOf(ctx, mail, keys[0].Token, 20, unlimited)
	must(t, err)
	s.Done(mail, lineKeys(list)...)
	for range 30 {
		page, err := s.Devices(ctx, mail, nil, 20)
		must(t, err)
		for _, d := range page {
			list, err := s.TakeOf(ctx, mail, d.Token, 100, unlimited)
			must(t, err)
			s.Done(mail, lineKeys(list)...)
		}
	}
	putLine(t, s, other, sized(10)) // at once
}

func testLineOwnRoom(t *testing.T, p LinePlace) {
	settings := Settings{Spool: 8 << 20}
	s := p.Open(settings)
	full := func(app string, most int) (count int) {
		t.Helper()
		for ; count < most; count++ {
			l := store.Line{App: app, Environment: "production", Topic: fmt.Sprint("topic", count%3)}
			err := s.Put(ctx, onto(l, []store.LineRecord{{Body: make([]byte, 3000)}}))
			if errors.Is(err, store.ErrSpoolFull) {
				return count
			}
			must(t, err)
		}
		return count
	}
	if got := full("first", 8<<20/3000); got < 7<<20/4096 {
		t.Errorf("%d records of 3,000 bytes went in, want more", got)
	}
	for _, app := range []string{"second", "third"} {
		if got := full(app, 100); got < 3 || got > 20 {
			t.Errorf("%d records of 3,000 bytes of app %s went in, want a few", got, app)
		}
	}
	s = p.Kill(settings)
	if got := full("first", 1) + full("second", 1) + full("third", 1); got != 0 {
		t.Errorf("%d more went in", got)
	}
	l := store.Line{App: "second", Environment: "production", Topic: "topic0"}
	list, err := s.Take(ctx, l, 2, unlimited)
	must(t, err)
	s.Done(l, lineKeys(list)...)
	if full("first", 1) != 0 || full("second", 1) != 1 {
		t.Error("the room of one app was another's")
	}
}

func testLineDeviceFull(t *testing.T, p LinePlace) {
	s := p.Open(Settings{Spool: 1 << 20}) // of which 1 % is a device's
	list := sized(3)
	for i := range list {
		list[i].Token, list[i].Queued = []byte("d"), true
	}
	puts := 0
	for ; puts < 100; puts++ {
		err := s.Put(ctx, onto(mail, slices.Clone(list)))
		if errors.Is(err, store.ErrDeviceFull) {
			break
		}
		must(t, err)
	}
	if puts < 1 || puts > 3 {
		t.Errorf("%d times 3,000 bytes went in, want 2 or 3", puts)
	}
	putLine(t, s, mail, queued("e", 0, 1))
	keys := putLine(t, s, mail, sized(20))
	for _, k := range keys { // what is moved may always
		putLine(t, s, mail, []store.LineRecord{{LineKey: store.LineKey{ID: k.ID, Token: []byte("d"), Queued: true}, Body: make([]byte, 1000)}})
	}
	if got := s.Stats().Lines[0]; got.Queued != 3*puts+21 || got.Log != 0 {
		t.Errorf("got %+v, want %d in queues", got, 3*puts+21)
	}
}

// One app has something in front of all that comes and goes.
func testLineSpace(t *testing.T, p LinePlace) {
	settings := Settings{Spool: 2 << 20}
	s := p.Open(settings)
	putLine(t, s, news, logged(0, 1))
	for round := range 200 { // 10 MB
		list := sized(50)
		keys := putLine(t, s, mail, list)
		if round%7 == 0 {
			putLine(t, s, news, logged(1+round, 1))
		}
		s.Done(mail, keys...)
	}
	must(t, s.Flush(ctx))
	if got := s.Stats(); got.Bytes > 1<<20 {
		t.Errorf("got %d bytes of %d that wait, in %d segments", got.Bytes, got.Lines[0].Bytes, got.Segments)
	}
	s = p.Kill(settings)
	if got := s.Waiting(news); got != 30 {
		t.Errorf("got %d that wait, want 30", got)
	}
}

func testLineSweep(t *testing.T, p LinePlace) {
	now := epoch
	settings := Settings{Spool: 1 << 20, Now: func() time.Time { return now }}
	s := p.Open(settings)
	batch := func(expires ...int64) []store.LineRecord {
		list := sized(len(expires))
		for i := range list {
			list[i].Body, list[i].Expires = make([]byte, 95_000), expires[i]
		}
		return list
	}
	soon, later := epoch.Unix()+1, epoch.Unix()+60
	kept := putLine(t, s, mail, batch(soon)) // in its caller's hands
	s.Return(mail, putLine(t, s, mail, batch(soon, later, soon))...)
	s.Return(news, putLine(t, s, news, batch(soon, soon, soon))...)
	s.Return(mail, putLine(t, s, mail, batch(0, 0, 0))...)
	more := onto(other, batch(0))
	if err := s.Put(ctx, more); !errors.Is(err, store.ErrSpoolFull) {
		t.Fatalf("got %v, want %v", err, store.ErrSpoolFull)
	}
	now = now.Add(time.Second)
	must(t, s.Put(ctx, more))
	if got := s.Waiting(news); got != 0 || s.Stats().Expired != 5 {
		t.Errorf("got %d that wait and %d expired, want 0 and 5", got, s.Stats().Expired)
	}
	s.Return(mail, kept...)
	s = p.Open(settings)
	for l, want := range map[store.Line]int{mail: 5, news: 0, other: 1} {
		if got := s.Waiting(l); got != want {
			t.Errorf("%v: got %d, want %d", l, got, want)
		}
	}
}

func testLineContext(t *testing.T, p LinePlace) {
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
		"Put": s.Put(ended, onto(mail, logged(1, 1))), "Take": take, "TakeOf": takeOf, "Sample": sample, "Devices": devices, "Flush": s.Flush(ended),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want %v", name, err, context.Canceled)
		}
	}
	checkLine(t, s, mail, "0")
	checkQueue(t, s, mail, "d", "1")
}

// Lanes work each on a line of its own, and nothing is lost or given twice.
func testLineConcurrent(t *testing.T, p LinePlace) {
	s := p.Open(Settings{Spool: 4 << 20})
	const lanes, rounds = 4, 60
	var working sync.WaitGroup
	for lane := range lanes {
		l := store.Line{App: fmt.Sprint("app", lane), Environment: "production"}
		working.Go(func() {
			ended := 0
			for round := range rounds {
				keys := putLine(t, s, l, logged(round*20, 20))
				s.Return(l, keys[5:]...)
				s.Done(l, keys[:5]...)
				ended += 5
				list, err := s.Take(ctx, l, 10, unlimited)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range list {
					list[i].Queued = i%3 == 0
				}
				move := slices.DeleteFunc(slices.Clone(list), func(r store.LineRecord) bool { return !r.Queued })
				if err := s.Put(ctx, onto(l, move)); err != nil {
					t.Error(err)
				}
				for _, r := range move {
					s.Return(l, r.LineKey)
					got, err := s.TakeOf(ctx, l, r.Token, 50, unlimited)
					if err != nil || !slices.ContainsFunc(got, func(g store.LineRecord) bool { return g.ID == r.ID }) {
						t.Errorf("got %d records without %d, error %v", len(got), r.ID, err)
					}
					s.Return(l, lineKeys(got)...)
				}
				for _, r := range list {
					if !r.Queued {
						s.Done(l, r.LineKey)
						ended++
					}
				}
				if round%20 == lane {
					must(t, s.Flush(ctx))
				}
			}
			for _, w := range s.Stats().Lines {
				if w.Line == l && w.Log+w.Queued != rounds*20-ended {
					t.Errorf("%v: got %+v, want %d", l, w, rounds*20-ended)
				}
			}
		})
	}
	working.Wait()
}
