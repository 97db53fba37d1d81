package store

import "time"

const (
	// repeatPause is how long a client that has not confirmed what it was given
	// is given nothing: it would only get the same again.
	repeatPause = 10 * time.Second

	// enoughAcknowledged drains of sureTuples at most count as read. A reader that
	// stops after the number of tuples it has counted resets the connection every
	// time, and would otherwise get the same list for ever.
	enoughAcknowledged = 3

	// sureTuples fit one read of 1 KiB: whoever reads at all has read them.
	sureTuples = 26

	// A reader that takes no more than so many bytes leaves the rest unread, which its
	// kernel has acknowledged all the same. After accidents drains in a row that it did
	// not confirm it is given fewer, until it does.
	accidents        = 2
	shrinkBy, growBy = 4, 2

	// retryAfter so many confirmed drains in a row it is tried again with more than it
	// did not confirm: that may have been the network.
	retryAfter = 8

	// rememberedClients bounds what is remembered. Who is forgotten is given
	// its list once more than it needs.
	rememberedClients = 10_000
)

// drains knows who is reading and how earlier reads ended. The zero value knows
// of none. It has no clock and no lock.
type drains struct {
	clients map[drainKey]*clientDrains
}

type drainKey struct{ client, app string }

type clientDrains struct {
	reading     bool
	unconfirmed bool
	ended       time.Time
	limit       int // tuples it is given; 0: all there are
	tooMany     int // tuples that it did not confirm, the fewest; 0: it has confirmed all
	fits        int // tuples that it did confirm, as a part of the list; 0: none yet
	missed      int // drains in a row of more than sureTuples that it did not confirm
	steady      int // confirmed drains in a row that did not let limit grow

	// acknowledged has the revisions that the latest drains of sureTuples at most gave
	// which were acknowledged and no more, oldest first.
	acknowledged []uint64
}

// portion is what a drain gave.
type portion struct {
	revision uint64 // of the last tuple, or of the list if that is all of it
	tuples   int
	part     bool // the list goes on
}

// begin reports whether a client may read now, and if so notes that it does. It is
// to be given no more than limit tuples; 0 is all there are.
func (d *drains) begin(key drainKey, now time.Time) (limit int, ok bool) {
	c := d.clients[key]
	switch {
	case c == nil:
		c = d.remember(key)
	case c.reading:
		return 0, false
	case c.unconfirmed && now.Sub(c.ended) < repeatPause:
		return 0, false
	}
	c.reading = true
	return c.limit, true
}

// judge takes the outcome of a drain, and gives the revision up to which the client
// counts as having read the list. What has that revision or a lower one now has been
// given in each drain that counts; 0 is nothing.
func (d *drains) judge(key drainKey, given portion, o Outcome) (read uint64) {
	c := d.clients[key]
	switch o {
	case Confirmed:
		read = given.revision
		c.unconfirmed, c.acknowledged, c.missed = false, nil, 0
		if given.part {
			c.grow()
		} else {
			*c = clientDrains{reading: true}
		}
	case Empty:
		*c = clientDrains{reading: true}
	case Unread:
		c.unconfirmed = true
		c.shrink(given.tuples)
	case Acknowledged:
		c.unconfirmed = true
		c.shrink(given.tuples)
		if given.tuples > sureTuples {
			break
		}
		c.acknowledged = append(c.acknowledged, given.revision)
		if len(c.acknowledged) == enoughAcknowledged {
			c.unconfirmed = false
			read = c.acknowledged[0]
			c.acknowledged = c.acknowledged[1:]
		}
	}
	return read
}

// grow notes that the client confirmed all of a part.
func (c *clientDrains) grow() {
	c.fits = c.limit
	switch {
	case c.tooMany == 0 || growBy*c.limit < c.tooMany:
		c.limit *= growBy
		c.steady = 0
	case c.steady+1 == retryAfter:
		c.tooMany, c.steady = 0, 0
	default:
		c.steady++
	}
}

// shrink notes that the client did not confirm so many tuples.
func (c *clientDrains) shrink(tuples int) {
	if tuples <= sureTuples {
		return
	}
	if c.missed++; c.missed < accidents && c.limit == 0 {
		return
	}
	if c.tooMany == 0 || tuples < c.tooMany {
		c.tooMany = tuples
	}
	c.limit, c.steady = max(sureTuples, tuples/shrinkBy), 0
	if c.fits < tuples {
		c.limit = max(c.limit, c.fits)
	}
}

// end says that the client has stopped reading, and that what it counts as
// having read is off the list.
func (d *drains) end(key drainKey, now time.Time) {
	c := d.clients[key]
	c.reading, c.ended = false, now
	if !c.unconfirmed && c.limit == 0 && c.missed == 0 && len(c.acknowledged) == 0 {
		delete(d.clients, key)
	}
}

func (d *drains) remember(key drainKey) *clientDrains {
	if d.clients == nil {
		d.clients = make(map[drainKey]*clientDrains)
	}
	if len(d.clients) >= rememberedClients {
		d.forgetOldest()
	}
	c := new(clientDrains)
	d.clients[key] = c
	return c
}

func (d *drains) forgetOldest() {
	var oldest drainKey
	var ended time.Time
	for key, c := range d.clients {
		if !c.reading && (ended.IsZero() || c.ended.Before(ended)) {
			oldest, ended = key, c.ended
		}
	}
	if !ended.IsZero() {
		delete(d.clients, oldest)
	}
}
