package conversation

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// remembered is a ledger with a bit of everything in it.
func remembered(t *testing.T) *script {
	return play(t, `
		open A
		A 1 a
		A 2 x
		A 3 b
		A 4 y
		A - c
		A ok a
		A ok b
		A bad y
		A bad x    -> packet A 8 2
		open B elsewhere framed
		B 7 d
		B ok d
		B shuts    -> packet B 10 7
	`)
}

func sorted(rs []Record) []Record {
	slices.SortFunc(rs, func(a, b Record) int { return bytes.Compare(a.Key, b.Key) })
	return rs
}

// A restored ledger hands out the records that it was restored from.
func TestRestoreRecords(t *testing.T) {
	s := remembered(t)
	want := sorted(s.ledger.Records(s.now))
	if len(want) != 2 {
		t.Fatalf("got %d records, want 2", len(want))
	}
	l := New(s.ledger.options, s.now)
	if err := l.Restore(want, true, s.now); err != nil {
		t.Fatal(err)
	}
	got := sorted(l.Records(s.now))
	for i := range got {
		// A notification that had no verdict has one now.
		got[i].Value, want[i].Value = bytes.ReplaceAll(got[i].Value, []byte{4}, []byte{0}),
			bytes.ReplaceAll(want[i].Value, []byte{4}, []byte{0})
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	if got, want := l.Stats().Entries, s.ledger.Stats().Entries; got != want {
		t.Errorf("got %d entries, want %d", got, want)
	}
	for _, r := range want {
		if got := Client(r.Key); got != "client" {
			t.Errorf("got client %q, want %q", got, "client")
		}
		if life := r.Expires.Sub(s.now); life != 72*time.Hour {
			t.Errorf("got a life of %v, want three days", life)
		}
	}
}

// A new episode never overwrites the record of an old one.
func TestRestoreNumbers(t *testing.T) {
	s := remembered(t)
	rs := s.ledger.Records(s.now)
	s.do(strings.Fields("restart"))
	s.do(strings.Fields("open C"))
	s.do(strings.Fields("C 9 z"))
	s.do(strings.Fields("C bad z"))
	for d, ok := s.ledger.Next(); ok; d, ok = s.ledger.Next() {
		for _, r := range d.Records {
			if slices.ContainsFunc(rs, func(old Record) bool { return bytes.Equal(old.Key, r.Key) }) {
				t.Errorf("the record %x of an old episode is overwritten", r.Key)
			}
		}
	}
}

// Whatever is on disk, Restore returns, with an error or without, and the episodes come to an end.
func FuzzRestore(f *testing.F) {
	for _, r := range remembered(&testing.T{}).ledger.Records(time.Now()) {
		f.Add(r.Key, r.Value)
	}
	f.Add([]byte("client\x00h"), []byte{1, 4, 192, 0, 2, 1, 1, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		o := defaultOptions()
		o.Client = "client"
		now := time.Now()
		l := New(o, now)
		l.Restore([]Record{{Key: key, Value: value}}, true, now)
		at := now
		for range 10 {
			var ok bool
			if at, ok = l.Deadline(); !ok {
				break
			}
			l.Tick(at)
		}
		if s := l.Stats(); s.Episodes != 0 {
			t.Errorf("%d episodes outlive every deadline", s.Episodes)
		}
	})
}

// A record that cannot be read is named in the error, and the others are restored.
func TestRestoreBroken(t *testing.T) {
	s := remembered(t)
	rs := sorted(s.ledger.Records(s.now))
	rs[0].Value = rs[0].Value[:len(rs[0].Value)-1]
	l := New(s.ledger.options, s.now)
	err := l.Restore(rs, true, s.now)
	if err == nil || !strings.Contains(err.Error(), "client") {
		t.Errorf("got %v, want an error that names the record", err)
	}
	if got := l.Stats().Episodes; got != 2 {
		t.Errorf("got %d episodes, want 2: one whole, one as far as it could be read", got)
	}
}
