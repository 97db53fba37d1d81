package seglog

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"apnsbridge/store"
)

// Whatever stands between two frames, they are found, and nothing else is: what is sent to
// a store cannot pass for a frame, because the sender does not know the salt.
func FuzzScan(f *testing.F) {
	const salt = 77
	record := func(id uint64) []byte {
		r := store.SpoolRecord{SpoolKey: store.SpoolKey{ID: id, Token: []byte("token")}, Body: []byte("body")}
		return AppendFrame(nil, salt, InLog, "mail\x00production\x00", time.Unix(5, 0), &r)
	}
	f.Add([]byte{}, uint8(0))
	f.Add(magic, uint8(3))
	forged := store.SpoolRecord{Body: []byte("forged")}
	f.Add(AppendFrame(nil, salt+1, InLog, "", time.Unix(5, 0), &forged), uint8(9))
	f.Fuzz(func(t *testing.T, between []byte, cut uint8) {
		first, second := record(1), record(2)
		whole := slices.Concat(first, between, second)
		whole = whole[:len(whole)-int(cut)%len(second)]
		want := []uint64{1, 2}
		if int(cut)%len(second) > 0 {
			want = want[:1]
		}
		s := scanner{from: bytes.NewReader(whole), salt: salt, size: int64(len(whole))}
		var got []uint64
		for {
			f, at, ok := s.next()
			if !ok {
				break
			}
			if r := f.Record(s.read(at, f.Size)); r.Broken != nil || string(r.Body) != "body" || r.ID != f.ID {
				t.Fatalf("got %+v", r)
			}
			got = append(got, f.ID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got records %v, want %v", got, want)
		}
	})
}
