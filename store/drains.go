package store

import "time"

const (
	// repeatPause is how long a client that has not confirmed what it was given
	// is given nothing: it would only get the same again.
	repeatPause = 10 * time.Second

	// enoughAcknowledged drains count as read. A reader that stops after the
	// number of tuples it has counted resets the connection every time, and
	// would otherwise get the same list for ever.
	enoughAcknowledged = 3

	// rememberedClients bounds what is remembered. Who is forgotten is given
	// its list once more than it needs.
	rememberedClients = 10_000
)

// drains knows who is reading and how earlier reads ended. The zero value knows
// of nobody. It has no clock and no lock.
type drains struct {
	clients map[drainKey]*clientDrains
}

type drainKey struct{ client, app string }

type clientDrains struct {
	reading     bool
	unconfirmed bool
	ended       time.Time

	// acknowledged has the revisions that the latest drains gave which were
	// acknowledged and no more, oldest first.
	acknowledged []uint64
}

// begin says whether a client may read now, and if so that it does.
func (d *drains) begin(key drainKey, now time.Time) bool {
	c := d.clients[key]
	switch {
	case c == nil:
		c = d.remember(key)
	case c.reading:
		return false
	case c.unconfirmed && now.Sub(c.ended) < repeatPause:
		return false
	}
	c.reading = true
	return true
}

// judge takes the outcome of a drain that gave the list as of revision given,
// and says up to which revision the client counts as having read it. What has
// that revision or a lower one now has been given in each drain that counts; 0
// is nothing.
func (d *drains) judge(key drainKey, given uint64, o Outcome) (read uint64) {
	c := d.clients[key]
	switch o {
	case Confirmed:
		read = given
		fallthrough
	case Empty:
		c.unconfirmed, c.acknowledged = false, nil
	case Unread:
		c.unconfirmed = true
	case Acknowledged:
		c.acknowledged = append(c.acknowledged, given)
		c.unconfirmed = len(c.acknowledged) < enoughAcknowledged
		if !c.unconfirmed {
			read = c.acknowledged[0]
			c.acknowledged = c.acknowledged[1:]
		}
	}
	return read
}

// end says that the client has stopped reading, and that what it counts as
// having read is off the list.
func (d *drains) end(key drainKey, now time.Time) {
	c := d.clients[key]
	c.reading, c.ended = false, now
	if !c.unconfirmed && len(c.acknowledged) == 0 {
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
