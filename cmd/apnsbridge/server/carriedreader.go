package server

import (
	"apnsbridge/binproto"
	"apnsbridge/store"
)

// carriedReader is a feedback reader whose list another node gives it, and notes what comes
// of that. What leaves the list only that node knows.
type carriedReader struct {
	store.Reader
	tuples    int
	confirmed bool
}

// Write is store.Reader's, and so is Finish.
func (r *carriedReader) Write(tuples []byte) error {
	var t binproto.Tuple
	for b := tuples; len(b) > 0; r.tuples++ {
		n, err := binproto.ParseTuple(b, &t)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return r.Reader.Write(tuples)
}

func (r *carriedReader) Finish() (confirmed bool, err error) {
	r.confirmed, err = r.Reader.Finish()
	return r.confirmed, err
}

// drained is what came of it.
func (r *carriedReader) drained() store.Drained {
	d := store.Drained{Outcome: store.Unread, Tuples: r.tuples}
	switch {
	case r.tuples == 0:
		d.Outcome = store.Empty
	case r.confirmed:
		d.Outcome = store.Confirmed
	case r.Acknowledged():
		d.Outcome = store.Acknowledged
	}
	return d
}
