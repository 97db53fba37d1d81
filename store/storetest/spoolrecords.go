package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"apnsbridge/store"
)

func testSpoolMove(t *testing.T, p SpoolPlace) {
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
			if want[i].Flags[7] = flags; !sameRecord(r, want[i]) {
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
	for i := range list { // as after another attempt
		list[i].Flags[7], list[i].Body = 9, nil
	}
	putLine(t, s, mail, list)
	s = p.Kill(Settings{})
	check(9)
	checkLine(t, s, mail, "3")
}

func testSpoolDevices(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{})
	keys := make(map[string][]store.SpoolKey)
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
			t.Errorf("in pages of %d: got %s, want %s", limit, got, want)
		}
	}
	check(1, `"":1 "a":2 "b":2 "a\x00":3 "ab":3 "bb":3`)
	check(4, `"":1 "a":2 "b":2 "a\x00":3 "ab":3 "bb":3`)
	checkQueue(t, s, mail, "a", "0 1")
	s.Done(mail, lineKeys(checkQueue(t, s, mail, "ab", "0 1 2"))...)
	s.Return(mail, keys["a"][1])
	check(2, `"":1 "a":1 "b":2 "a\x00":3 "bb":3`)
}

func testSpoolSample(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{})
	list := logged(0, 1000)
	for i := range list {
		list[i].Token = fmt.Append(nil, "device ", i/2) // two records of each device
	}
	keys := putLine(t, s, mail, list)
	putLine(t, s, other, logged(0, 10))
	s = p.Open(Settings{})
	seen := make(map[string]bool)
	for range 100 {
		got, err := s.Sample(ctx, mail, 1, func(token []byte) bool { return token[len(token)-1] != '7' })
		must(t, err)
		if len(got) != 1 || (got[0].ID-keys[0].ID)%2 != 0 || bytes.HasSuffix(got[0].Token, []byte("7")) {
			t.Fatalf("got %v, want the first record of a free device", got)
		}
		seen[string(got[0].Body)] = true
		s.Return(mail, got[0].SpoolKey)
	}
	if len(seen) < 50 {
		t.Errorf("100 samples of 450 devices hit only %d different ones, want at least 50", len(seen))
	}
	for _, want := range []int{200, 300} { // the second time only devices that are not checked out
		got, err := s.Sample(ctx, mail, want, func([]byte) bool { return true })
		must(t, err)
		if len(got) != want {
			t.Errorf("got %d samples, want %d", len(got), want)
		}
	}
	if got := s.Waiting(mail); got != 500 {
		t.Errorf("got %d waiting records, want 500", got)
	}
	got, err := s.Sample(ctx, mail, 1, func([]byte) bool { return true })
	must(t, err)
	if len(got) != 0 {
		t.Errorf("got %v, want none: the first record of each device is checked out", got)
	}
}

func testSpoolNotHeld(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{})
	all := putLine(t, s, mail, logged(0, 4))
	s.Done(mail, all[0], all[0])
	s.Return(mail, all[0], all[1])
	s.Return(mail, all[1])
	s.Done(mail, all[1])
	s.Done(other, all[2])
	s.Return(news, all[2])
	s.Done(mail, store.SpoolKey{ID: all[3].ID + 1}, store.SpoolKey{ID: 1 << 63}, store.SpoolKey{})
	s.Return(mail, store.SpoolKey{ID: all[3].ID + 1}, store.SpoolKey{})
	checkLine(t, s, mail, "1")
	must(t, s.Flush(ctx))
	checkLine(t, p.Kill(Settings{}), mail, "1 2 3")
}

func testSpoolRecords(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{})
	long := store.Line{
		App: strings.Repeat("a", 500), Environment: strings.Repeat("e", 24), Topic: strings.Repeat("t", 500),
	}
	token, body := bytes.Repeat([]byte{7}, store.MaxSpoolToken), bytes.Repeat([]byte{8}, store.MaxSpoolBody)
	want := []store.SpoolRecord{
		{SpoolKey: store.SpoolKey{Token: []byte("token")}, Body: []byte("body"), Expires: 1 << 33},
		{},
		{Body: []byte{0}, Expires: 1},
		{SpoolKey: store.SpoolKey{Token: token}, Body: body},
		{SpoolKey: store.SpoolKey{Queued: true}, Flags: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Expires: math.MaxInt64},
		{SpoolKey: store.SpoolKey{Queued: true}, Body: body},
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
		if !slices.EqualFunc(got, want, sameRecord) {
			t.Fatalf("got %.300v, want %.300v", got, want)
		}
		s.Return(long, lineKeys(got)...)
		for i := range got {
			clear(append(got[i].Token, 99))
			clear(append(got[i].Body, 99))
		}
	}
}

func testSpoolRefuses(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{})
	good := logged(0, 1)
	held := putLine(t, s, mail, logged(1, 1))
	longToken := store.SpoolKey{Token: make([]byte, store.MaxSpoolToken+1)}
	moved := store.SpoolKey{ID: held[0].ID, Token: held[0].Token, Queued: true}
	for name, bad := range map[string]store.SpoolBatch{
		"no app":               onto(store.Line{Environment: "sandbox"}, logged(0, 1)),
		"no environment":       onto(store.Line{App: "mail"}, logged(0, 1)),
		"a long name":          onto(store.Line{App: strings.Repeat("q", 1025), Environment: "sandbox"}, logged(0, 1)),
		"a zero in a name":     onto(store.Line{App: "a\x00b", Environment: "sandbox"}, logged(0, 1)),
		"a name of no letters": onto(store.Line{App: "a\xff", Environment: "sandbox"}, logged(0, 1)),
		"a long token":         onto(mail, []store.SpoolRecord{{SpoolKey: longToken}}),
		"a large body":         onto(mail, []store.SpoolRecord{{Body: make([]byte, store.MaxSpoolBody+1)}}),
		"an early end":         onto(mail, []store.SpoolRecord{{Expires: -1}}),
		"into the log again":   onto(mail, []store.SpoolRecord{{SpoolKey: held[0]}}),
		"not in hands":         onto(mail, []store.SpoolRecord{{SpoolKey: store.SpoolKey{ID: 1 << 40, Queued: true}}}),
		"of another line":      onto(other, []store.SpoolRecord{{SpoolKey: moved}}),
	} {
		err := s.Put(ctx, onto(mail, good), onto(mail, queued("d", 0, 1)), bad)
		if !errors.Is(err, store.ErrUnstorable) || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: got %v, want %v", name, err, store.ErrUnstorable)
		}
		if good[0].ID != 0 {
			t.Errorf("%s: got ID %d for a record that was not put", name, good[0].ID)
		}
	}
	if s.Queued(mail, []byte("d")) {
		t.Error("there is a queue though nothing was put into it")
	}
	checkLine(t, p.Kill(Settings{}), mail, "1")
}
