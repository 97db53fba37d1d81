package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// reader is a feedback reader that is carried here. It implements Reader: when Write returns,
// the entry has written the tuples.
type reader struct {
	conn    *ownerConn
	number  uint32
	answers chan answer // one at a time

	mu           sync.Mutex
	asked        kind // the kind of answer that is awaited, 0 if none
	acknowledged bool
	over         bool // it was finished at the entry
}

type answer struct {
	confirmed bool
	err       error
}

// maxReaders is how many readers one link may carry at once.
const maxReaders = 1000

func (c *ownerConn) openReader(number uint32, origin []byte) error {
	switch {
	case number == 0 || c.sessions[number] != nil || c.readers[number] != nil:
		return fmt.Errorf("link: session %d is opened twice", number)
	case len(origin) > maxOrigin:
		return fmt.Errorf("link: an origin of %d bytes; %d are the most", len(origin), maxOrigin)
	case len(c.readers) >= maxReaders:
		c.lack(number, fmt.Errorf("%d readers are the most", maxReaders))
		return nil
	}
	r := &reader{conn: c, number: number, answers: make(chan answer, 1)}
	c.readers[number] = r
	whose := append([]byte(nil), origin...)
	c.owner.open.Add(1)
	c.reading.Go(func() {
		defer c.owner.open.Add(-1)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stop := make(chan struct{})
		defer close(stop)
		c.reading.Go(func() {
			select {
			case <-c.done:
				cancel()
			case <-stop:
			}
		})
		c.owner.handler.Read(ctx, c.node, whose, r)
		if !r.finished() {
			_, _ = r.Finish()
		}
	})
	return nil
}

// finished reports whether the reader was finished at the entry.
func (r *reader) finished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// ask sends an order to the entry and waits for its answer.
func (r *reader) ask(order, want kind, body []byte) answer {
	r.mu.Lock()
	r.asked = want
	r.mu.Unlock()
	r.conn.send(order, r.number, body...)
	select {
	case a := <-r.answers:
		return a
	case <-r.conn.done:
		return answer{err: r.conn.reason()}
	}
}

// Write implements Reader.
func (r *reader) Write(list []byte) error { return r.ask(tuples, written, list).err }

// Finish implements Reader.
func (r *reader) Finish() (confirmed bool, err error) {
	a := r.ask(finish, finished, nil)
	return a.confirmed, a.err
}

// Acknowledged implements Reader.
func (r *reader) Acknowledged() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acknowledged
}

// answered takes the entry's answer to an order.
func (c *ownerConn) answered(h header, body []byte) error {
	r := c.readers[h.session]
	if r == nil {
		return fmt.Errorf("link: an answer of session %d, which reads nothing", h.session)
	}
	var a answer
	text := body
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked != h.kind {
		return fmt.Errorf("link: an answer of kind %d of session %d, of which none is awaited", h.kind, h.session)
	}
	if h.kind == finished {
		if len(body) < 2 {
			return hasLength(finished, body, 2)
		}
		a.confirmed, r.acknowledged, text = body[0] != 0, body[1] != 0, body[2:]
		r.over = true
		delete(c.readers, h.session)
	}
	if len(text) > maxText {
		return fmt.Errorf("link: a reason of %d bytes; %d are the most", len(text), maxText)
	}
	if len(text) > 0 {
		a.err = errors.New(string(text))
	}
	r.asked = 0
	r.answers <- a // does not block: no other answer is pending
	return nil
}

// readerOrder is what an owner tells a reader: to write tuples, to finish, or that the owner
// has nothing more for it.
type readerOrder struct {
	kind   kind // tuples, finish or gone
	tuples []byte
}

// Read lets the owner give its list to r. It returns when that is done, or when the link or ctx
// has ended, and finishes r in any case.
func (e *Entry) Read(ctx context.Context, origin []byte, r Reader) error {
	orders := make(chan readerOrder, 1) // one at a time
	e.mu.Lock()
	if e.err != nil || len(origin) > maxOrigin || len(e.readers) >= maxReaders {
		err := errors.Join(errors.New("link: a feedback reader cannot be carried"), e.err)
		e.mu.Unlock()
		_, _ = r.Finish()
		return err
	}
	e.next++
	number := e.next
	e.readers[number] = orders
	e.pending = appendMessage(e.pending, read, number, origin...)
	e.unlock()
	defer func() {
		e.mu.Lock()
		delete(e.readers, number)
		e.mu.Unlock()
	}()
	for {
		select {
		case o := <-orders:
			if o.kind == tuples {
				e.reply(written, number, nil, r.Write(o.tuples))
				continue
			}
			confirmed, err := r.Finish()
			if o.kind == finish {
				e.reply(finished, number, []byte{flag(confirmed), flag(r.Acknowledged())}, err)
			}
			return err
		case <-ctx.Done():
			return e.leaveReader(number, orders, r, ctx.Err())
		case <-e.done:
			_, _ = r.Finish()
			return e.reason()
		}
	}
}

// leaveReader finishes r and answers what its owner may still order.
func (e *Entry) leaveReader(number uint32, orders <-chan readerOrder, r Reader, why error) error {
	confirmed, err := r.Finish()
	for {
		select {
		case o := <-orders:
			switch o.kind {
			case tuples:
				e.reply(written, number, nil, why)
				continue
			case finish:
				e.reply(finished, number, []byte{flag(confirmed), flag(r.Acknowledged())}, err)
			}
			return why
		case <-e.done:
			return why
		}
	}
}

func (e *Entry) reply(k kind, number uint32, before []byte, reason error) {
	e.mu.Lock()
	e.pending = appendText(e.pending, k, number, before, reason)
	e.unlock()
}

// order takes an owner's order for a reader.
func (e *Entry) order(h header, body []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	orders := e.readers[h.session]
	if orders == nil {
		return nil // it has ended meanwhile
	}
	o := readerOrder{kind: h.kind}
	if h.kind == tuples {
		o.tuples = append([]byte{}, body...)
	}
	select {
	case orders <- o:
		return nil
	default:
		return fmt.Errorf("link: two orders at once for the reader of session %d", h.session)
	}
}
