package store

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"
)

// Reader is a feedback client as a drain sees it. Its time-outs are its own.
type Reader interface {
	// Write sends tuples. They are whole and fit one TLS record (some clients
	// take a tuple that is cut by a record for garbage), and are borrowed until
	// Write returns.
	Write(tuples []byte) error

	// Finish ends our side of the connection, waits for the client to end its
	// own, and reports whether it has read everything: it ended the connection
	// after its kernel had acknowledged all of it and our FIN, and did not reset
	// it. If not, err says why.
	Finish() (confirmed bool, err error)

	// Acknowledged says, after Finish, whether the client's kernel has
	// acknowledged all tuples. That is less than to have read them.
	Acknowledged() bool
}

// Outcome is what came of a drain.
type Outcome uint8

// From the least to the most that a client can do with its list.
const (
	Refused      Outcome = iota + 1 // given nothing: it comes too often, or reads already
	Empty                           // there was nothing to give
	Unread                          // not all of it has arrived
	Acknowledged                    // all of it is in the client's kernel; whether it was read is unknown
	Confirmed                       // read to the end
)

// String gives the outcome's name, as logs and metrics have it.
func (o Outcome) String() string {
	switch o {
	case Refused:
		return "refused"
	case Empty:
		return "empty"
	case Unread:
		return "unread"
	case Acknowledged:
		return "acknowledged"
	case Confirmed:
		return "confirmed"
	}
	return "none"
}

// Drained says what a drain did.
type Drained struct {
	Outcome   Outcome
	Tuples    int // given to the client
	Forgotten int // taken off the list, because they count as read
}

const (
	pageLen    = 1000     // entries a store transaction; none spans a socket write
	recordSize = 16 << 10 // bytes of a TLS record
	tupleSize  = 4 + 2 + maxToken
)

// Drainer gives clients their feedback lists. A list as it stands when the
// client comes is given in full, or to one that has not confirmed as much before the
// first part of it; what came of it decides whether the very entries given leave the
// list.
type Drainer struct {
	list   Feedback
	encode func(b []byte, d Dead) []byte
	now    func() time.Time

	finishing finishing
	mu        sync.Mutex
	drains    drains
}

// NewDrainer returns a Drainer of list. encode appends the tuple of an entry to
// b; now is the clock.
func NewDrainer(list Feedback, encode func(b []byte, d Dead) []byte, now func() time.Time) *Drainer {
	return &Drainer{list: list, encode: encode, now: now}
}

// Drain gives the list of app to r and ends the connection in any case. client
// names who reads, and is the same name whenever it comes. ctx ends the giving;
// what has been read leaves the list in any case. The error is that of the
// store or of r, which has one whenever it does not confirm; the result is right
// as far as things went.
func (d *Drainer) Drain(ctx context.Context, client, app string, r Reader) (Drained, error) {
	key := drainKey{client, app}
	limit, ok := d.begin(key)
	if !ok {
		_, err := r.Finish()
		return Drained{Outcome: Refused}, err
	}
	given, err := d.give(ctx, app, limit, r)
	defer d.finishing.enter(app)()
	defer d.end(key)
	result, err := finish(r, given, err)
	if read := d.judge(key, given, result.Outcome); read > 0 {
		var failed error
		if result.Forgotten, failed = d.forget(context.WithoutCancel(ctx), app, read); failed != nil {
			return result, failed
		}
	}
	return result, err
}

func (d *Drainer) begin(key drainKey) (limit int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drains.begin(key, d.now())
}

func (d *Drainer) judge(key drainKey, given portion, o Outcome) (read uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drains.judge(key, given, o)
}

func (d *Drainer) end(key drainKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drains.end(key, d.now())
}

// give writes to r what stands on the list of app, or the first limit entries of it.
// What changes while it is given is for the next time.
func (d *Drainer) give(ctx context.Context, app string, limit int, r Reader) (given portion, err error) {
	if given.revision, err = d.list.Revision(ctx, app); err != nil {
		return given, err
	}
	return d.write(ctx, app, given.revision, limit, r)
}

// finish ends the connection of r, to whom that was given, and says what came of it; err
// is why it was not all.
func finish(r Reader, given portion, err error) (Drained, error) {
	result := Drained{Outcome: Unread, Tuples: given.tuples}
	confirmed, failed := r.Finish()
	switch {
	case err != nil:
		return result, err
	case result.Tuples == 0:
		result.Outcome = Empty
	case confirmed:
		result.Outcome = Confirmed
	case r.Acknowledged():
		result.Outcome = Acknowledged
	}
	return result, failed
}

// write gives the list as of a revision, or the first limit entries of it.
func (d *Drainer) write(
	ctx context.Context, app string, revision uint64, limit int, r Reader,
) (given portion, err error) {
	given.revision = revision
	buf := make([]byte, 0, recordSize)
	waiting := 0    // tuples in buf
	var last uint64 // revision of the latest of them
	flush := func() error {
		if err := r.Write(buf); err != nil {
			return fmt.Errorf("feedback of %s: after %d tuples: %w", app, given.tuples, err)
		}
		given.tuples += waiting
		buf, waiting = buf[:0], 0
		return nil
	}
	for page, err := range d.pages(ctx, app, revision) {
		if err != nil {
			return given, err
		}
		for _, dead := range page {
			if limit > 0 && given.tuples+waiting == limit {
				given.part = true
				break
			}
			last = dead.Revision
			buf = d.encode(buf, dead)
			waiting++
			if len(buf) > recordSize-tupleSize {
				if err := flush(); err != nil {
					return given, err
				}
			}
		}
		if given.part {
			given.revision = last
			break
		}
	}
	if waiting > 0 {
		err = flush()
	}
	return given, err
}

// forget takes off the list of app what stood on it at revision read and has
// not changed since.
func (d *Drainer) forget(ctx context.Context, app string, read uint64) (forgotten int, err error) {
	for page, err := range d.pages(ctx, app, read) {
		if err == nil {
			err = d.list.Forget(ctx, app, page...)
		}
		if err != nil {
			return forgotten, err
		}
		forgotten += len(page)
	}
	return forgotten, nil
}

// pages gives the entries of app's list whose revision is not over upTo, at
// most pageLen at a time. It ends at the first error.
func (d *Drainer) pages(ctx context.Context, app string, upTo uint64) iter.Seq2[[]Dead, error] {
	return func(yield func([]Dead, error) bool) {
		for after := uint64(0); after < upTo; {
			page, err := d.list.Pending(ctx, app, after, pageLen)
			if err != nil {
				yield(nil, err)
				return
			}
			for len(page) > 0 && page[len(page)-1].Revision > upTo {
				page = page[:len(page)-1]
			}
			if len(page) == 0 || !yield(page, nil) {
				return
			}
			after = page[len(page)-1].Revision
		}
	}
}
