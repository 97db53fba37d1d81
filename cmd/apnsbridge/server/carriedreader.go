package server

import (
	"apnsbridge/binproto"
	"apnsbridge/store"
)

// carriedReader is a feedback reader that gets its list from another node. It notes the outcome;
// only the other node knows what leaves the list.
type carriedReader struct {
	store.Reader
	tuples    int
	confirmed bool
}

// Write implements store.Reader, and so does Finish.
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

// drained returns the outcome.
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
