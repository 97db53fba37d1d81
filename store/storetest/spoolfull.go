package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"apnsbridge/store"
)

// sized returns n records of about 1,000 bytes.
func sized(n int) []store.SpoolRecord {
	list := logged(0, n)
	for i := range list {
		list[i].Body = make([]byte, 1000)
	}
	return list
}

func testSpoolFull(t *testing.T, p SpoolPlace) {
	settings := Settings{Spool: 1 << 20, Reserve: 100_000}
	s := p.Open(settings)
	var keys []store.SpoolKey
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
		for _, batches := range [][]store.SpoolBatch{
			{onto(mail, sized(10))}, {onto(other, sized(10))}, {onto(news, sized(1)), onto(mail, sized(10))},
		} {
			if err := s.Put(ctx, batches...); !errors.Is(err, store.ErrSpoolFull) {
				t.Errorf("got %v, want %v", err, store.ErrSpoolFull)
			}
		}
	}
	full()
	moves := 0
	for _, k := range keys { // moves may use the reserve
		k.Queued = true
		err := s.Put(ctx, onto(mail, []store.SpoolRecord{{SpoolKey: k, Body: make([]byte, 1000)}}))
		if errors.Is(err, store.ErrSpoolFull) {
			break
		}
		must(t, err)
		moves++
	}
	if moves != len(keys) {
		t.Errorf("%d of %d records could be moved, want all", moves, len(keys))
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
	putLine(t, s, other, sized(10)) // there is room at once
}

func testSpoolOwnRoom(t *testing.T, p SpoolPlace) {
	settings := Settings{Spool: 8 << 20}
	s := p.Open(settings)
	full := func(app string, most int) (count int) {
		t.Helper()
		for ; count < most; count++ {
			l := store.Line{App: app, Environment: "production", Topic: fmt.Sprint("topic", count%3)}
			err := s.Put(ctx, onto(l, []store.SpoolRecord{{Body: make([]byte, 3000)}}))
			if errors.Is(err, store.ErrSpoolFull) {
				return count
			}
			must(t, err)
		}
		return count
	}
	if got := full("first", 8<<20/3000); got < 7<<20/4096 {
		t.Errorf("%d records of 3,000 bytes went in, want most of 8 MiB", got)
	}
	for _, app := range []string{"second", "third"} {
		if got := full(app, 100); got < 3 || got > 20 {
			t.Errorf("%d records of 3,000 bytes of app %s went in, want a few", got, app)
		}
	}
	s = p.Kill(settings)
	if got := full("first", 1) + full("second", 1) + full("third", 1); got != 0 {
		t.Errorf("%d more records went in, want none", got)
	}
	l := store.Line{App: "second", Environment: "production", Topic: "topic0"}
	list, err := s.Take(ctx, l, 2, unlimited)
	must(t, err)
	s.Done(l, lineKeys(list)...)
	if full("first", 1) != 0 || full("second", 1) != 1 {
		t.Error("the room that one app freed was used by another, or not by itself")
	}
}

func testSpoolDeviceFull(t *testing.T, p SpoolPlace) {
	s := p.Open(Settings{Spool: 1 << 20}) // one device may have 1 % of it once half of it is used
	list := sized(3)
	for i := range list {
		list[i].Token, list[i].Queued = []byte("d"), true
	}
	const early = 10
	for range early {
		must(t, s.Put(ctx, onto(mail, slices.Clone(list))))
	}
	for range 600 {
		putLine(t, s, news, sized(1))
	}
	puts := 0
	for ; puts < 100; puts++ {
		err := s.Put(ctx, onto(mail, slices.Clone(list)))
		if errors.Is(err, store.ErrDeviceFull) {
			break
		}
		must(t, err)
	}
	if puts != 0 {
		t.Errorf("%d more puts of 3,000 bytes went in, want none", puts)
	}
	putLine(t, s, mail, queued("e", 0, 1))
	keys := putLine(t, s, mail, sized(20))
	for _, k := range keys { // moves are always allowed
		moved := store.SpoolKey{ID: k.ID, Token: []byte("d"), Queued: true}
		putLine(t, s, mail, []store.SpoolRecord{{SpoolKey: moved, Body: make([]byte, 1000)}})
	}
	for _, got := range s.Stats().Lines {
		if got.Line == mail && (got.Queued != 3*early+21 || got.Log != 0) {
			t.Errorf("got %+v, want %d in queues", got, 3*early+21)
		}
	}
}

// The space of records that are done is freed, though older ones of another app stay.
func testSpoolSpace(t *testing.T, p SpoolPlace) {
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
		t.Errorf("got %d bytes used for %d waiting, in %d segments", got.Bytes, got.Lines[0].Bytes, got.Segments)
	}
	s = p.Kill(settings)
	if got := s.Waiting(news); got != 30 {
		t.Errorf("got %d waiting records, want 30", got)
	}
}

func testSpoolSweep(t *testing.T, p SpoolPlace) {
	now := epoch
	settings := Settings{Spool: 1 << 20, Now: func() time.Time { return now }}
	s := p.Open(settings)
	batch := func(expires ...int64) []store.SpoolRecord {
		list := sized(len(expires))
		for i := range list {
			list[i].Body, list[i].Expires = make([]byte, 95_000), expires[i]
		}
		return list
	}
	soon, later := epoch.Unix()+1, epoch.Unix()+60
	kept := putLine(t, s, mail, batch(soon)) // stays checked out
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
		t.Errorf("got %d waiting and %d expired, want 0 and 5", got, s.Stats().Expired)
	}
	s.Return(mail, kept...)
	s = p.Open(settings)
	for l, want := range map[store.Line]int{mail: 5, news: 0, other: 1} {
		if got := s.Waiting(l); got != want {
			t.Errorf("%v: got %d waiting, want %d", l, got, want)
		}
	}
}

// Lanes work in parallel, each on its own line, and nothing is lost or given out twice.
func testSpoolConcurrent(t *testing.T, p SpoolPlace) {
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
				move := slices.DeleteFunc(slices.Clone(list), func(r store.SpoolRecord) bool { return !r.Queued })
				if err := s.Put(ctx, onto(l, move)); err != nil {
					t.Error(err)
				}
				for _, r := range move {
					s.Return(l, r.SpoolKey)
					got, err := s.TakeOf(ctx, l, r.Token, 50, unlimited)
					if err != nil || !slices.ContainsFunc(got, func(g store.SpoolRecord) bool { return g.ID == r.ID }) {
						t.Errorf("got %d records, without record %d, and error %v", len(got), r.ID, err)
					}
					s.Return(l, lineKeys(got)...)
				}
				for _, r := range list {
					if !r.Queued {
						s.Done(l, r.SpoolKey)
						ended++
					}
				}
				if round%20 == lane {
					must(t, s.Flush(ctx))
				}
			}
			for _, w := range s.Stats().Lines {
				if w.Line == l && w.Log+w.Queued != rounds*20-ended {
					t.Errorf("%v: got %+v, want %d records", l, w, rounds*20-ended)
				}
			}
		})
	}
	working.Wait()
}
