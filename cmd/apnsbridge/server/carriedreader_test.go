package server

import (
	"errors"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/store"
)

// ending is a feedback client that takes everything and then ends in the given way.
type ending struct{ confirmed, acknowledged bool }

func (ending) Write([]byte) error      { return nil }
func (e ending) Finish() (bool, error) { return e.confirmed, nil }
func (e ending) Acknowledged() bool    { return e.acknowledged }

// The tuples that another node gives are counted here, and so is whether the client has read them.
func TestCarriedReader(t *testing.T) {
	tuple := binproto.Tuple{Time: 1, Token: make([]byte, 32)}.Append(nil)
	three := append(append(append([]byte(nil), tuple...), tuple...), tuple...)
	for _, tt := range []struct {
		ending
		given []byte
		want  store.Drained
	}{
		{ending{confirmed: true}, nil, store.Drained{Outcome: store.Empty}},
		{ending{}, three, store.Drained{Outcome: store.Unread, Tuples: 3}},
		{ending{acknowledged: true}, three, store.Drained{Outcome: store.Acknowledged, Tuples: 3}},
		{ending{confirmed: true, acknowledged: true}, three, store.Drained{Outcome: store.Confirmed, Tuples: 3}},
	} {
		r := &carriedReader{Reader: tt.ending}
		_, err := r.Finish()
		if err = errors.Join(err, r.Write(tt.given)); err != nil {
			t.Error(err)
		}
		if got := r.drained(); got != tt.want {
			t.Errorf("got %+v, want %+v", got, tt.want)
		}
	}
	r := &carriedReader{Reader: ending{}}
	if err := r.Write(three[:len(tuple)+5]); err == nil {
		t.Error("an incomplete tuple is accepted")
	}
}
