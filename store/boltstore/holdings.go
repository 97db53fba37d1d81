package boltstore

import "math"

// idBits are the bits of an ID that say where in its blob a record is. Those above
// are the blob's number.
const idBits = 12

func recordID(blob uint64, i int) uint64     { return blob<<idBits | uint64(i) }
func placeOf(id uint64) (blob uint64, i int) { return id >> idBits, int(id & (1<<idBits - 1)) }

// holdings is what memory knows of a spool. It knows each blob of which somebody
// has a record, or of which the file does not know yet what is done. The others
// are cold: only their number is known, and where the first of them may be.
type holdings struct {
	queues  map[string]*queue
	bytes   int64   // that the blobs take which have not ended
	room    room    // for them
	unsaved []*blob // of which the file does not know what is done
	saving  int     // blobs in transactions that are to tell it

	// While somebody reads the file as it was at a certain moment, nothing turns
	// cold or ends for him that was not cold or at its end then.
	reading bool
	leaving []*blob

	sweepAt uint64 // the second in which the first cold blob has expired; 0: none will
}

// queue is what memory knows of a queue.
type queue struct {
	name    string
	blobs   map[uint64]*blob // those that are not cold
	cold    int              // blobs
	from    uint64           // no cold blob has a lower number
	waiting int              // records that nobody has
	out     int              // records that somebody has
	bytes   int64            // as in holdings
	expired uint64           // records that left because they had, to make room
	free    lowest           // of these, what has something for Take
	known   lowest           // all of these
}

// blob is what memory knows of a blob.
type blob struct {
	queue   *queue
	number  uint64
	cost    int64  // bytes of the file
	latest  uint64 // as in its header
	count   int
	out     int
	done    int
	outBits bitmap
	ended   bitmap // the records that are done
	unsaved bool   // in holdings.unsaved
	saving  int    // transactions under way that have its bitmap or its end
	offered bool   // in queue.free
}

func newHoldings(bytes int64) *holdings {
	return &holdings{queues: make(map[string]*queue), room: newRoom(bytes)}
}

// queue gives the queue of a name, and makes it if there is none.
func (h *holdings) queue(name string) *queue {
	q := h.queues[name]
	if q == nil {
		q = &queue{name: name, blobs: make(map[uint64]*blob), from: math.MaxUint64}
		h.queues[name] = q
	}
	return q
}

func newBlob(number uint64, count int, cost int64, latest uint64) *blob {
	n := words(count)
	bits := make(bitmap, 2*n)
	return &blob{number: number, count: count, cost: cost, latest: latest, outBits: bits[:n:n], ended: bits[n:]}
}

// has says whether a blob is known by its number.
func (q *queue) has(number uint64) bool { return q.blobs[number] != nil }

// offers says whether a number in q.free counts. One that does not leaves.
func (q *queue) offers(number uint64) bool {
	b := q.blobs[number]
	if b == nil {
		return false
	}
	b.offered = b.free() > 0
	return b.offered
}

// oldest is a number than which no blob of the queue has a lower one.
func (q *queue) oldest() uint64 {
	if n, ok := q.known.min(q.has); ok {
		return min(n, q.from)
	}
	return q.from
}

// free is how many records nobody has.
func (b *blob) free() int { return b.count - b.out - b.done }

// over says that all its records are done.
func (b *blob) over() bool { return b.done == b.count }

// know makes b one of those that are known.
func (h *holdings) know(q *queue, b *blob) {
	b.queue = q
	q.blobs[b.number] = b
	q.known.push(b.number, len(q.blobs), q.has)
}

// put makes b, which is new, be in its owner's hands.
func (h *holdings) put(q *queue, b *blob) {
	h.know(q, b)
	b.outBits.addAll(b.count)
	b.out = b.count
	q.out += b.count
	h.grow(q, b.cost)
}

// unput takes back what put did.
func (h *holdings) unput(b *blob) {
	b.queue.out -= b.out
	h.grow(b.queue, -b.cost)
	delete(b.queue.blobs, b.number)
	h.tidy(b.queue)
}

// addCold counts a blob in that is in the file, with the records that are not done.
func (h *holdings) addCold(q *queue, number uint64, waiting int, cost int64, latest uint64) {
	q.waiting += waiting
	h.grow(q, cost)
	h.cool(q, number, latest)
}

func (h *holdings) cool(q *queue, number, latest uint64) {
	q.cold++
	q.from = min(q.from, number)
	if latest != 0 && (h.sweepAt == 0 || latest < h.sweepAt) {
		h.sweepAt = latest
	}
}

// warm makes b, which is the first cold blob of q or has been found to be cold,
// be known.
func (h *holdings) warm(q *queue, b *blob) {
	h.know(q, b)
	if q.cold--; q.cold == 0 {
		q.from = math.MaxUint64
	}
}

// take puts records of b into somebody's hands.
func (h *holdings) take(b *blob, places []int) {
	for _, i := range places {
		b.outBits.add(i)
	}
	b.out += len(places)
	b.queue.out += len(places)
	b.queue.waiting -= len(places)
	h.offer(b)
}

// offer has Take find b.
func (h *holdings) offer(b *blob) {
	if q := b.queue; !b.offered && b.free() > 0 {
		b.offered = true
		q.free.push(b.number, len(q.blobs), q.offers)
	}
}

// offered is the first of the known blobs that has something for Take.
func (h *holdings) offered(q *queue) *blob {
	n, ok := q.free.min(q.offers)
	if !ok {
		return nil
	}
	return q.blobs[n]
}

// giveBack takes records out of their owner's hands. done says that they have
// ended. IDs of records that are in nobody's hands are passed over.
func (h *holdings) giveBack(q *queue, ids []uint64, done bool) {
	var b *blob
	for _, id := range ids {
		number, i := placeOf(id)
		if b == nil || b.number != number {
			h.rest(b)
			b = q.blobs[number]
		}
		if b == nil || i >= b.count || !b.outBits.has(i) {
			continue
		}
		b.outBits.remove(i)
		b.out--
		q.out--
		if done {
			h.end(b, i)
		} else {
			q.waiting++
		}
	}
	h.rest(b)
}

// end makes a record be done.
func (h *holdings) end(b *blob, i int) {
	b.ended.add(i)
	if b.done++; b.over() {
		h.grow(b.queue, -b.cost)
	}
	if !b.unsaved {
		b.unsaved = true
		h.unsaved = append(h.unsaved, b)
	}
}

// rest has Take find what b has to offer, here or in the file.
func (h *holdings) rest(b *blob) {
	switch {
	case b == nil:
	case b.out > 0 || b.unsaved || b.saving > 0:
		h.offer(b)
	case h.reading:
		h.offer(b)
		h.leaving = append(h.leaving, b)
	default:
		h.leave(b)
	}
}

// leave forgets b, of which the file knows all.
func (h *holdings) leave(b *blob) {
	q := b.queue
	if q.blobs[b.number] != b {
		return
	}
	delete(q.blobs, b.number)
	if !b.over() {
		h.cool(q, b.number, b.latest)
	}
	h.tidy(q)
}

// tidy forgets a queue of which there is nothing to know.
func (h *holdings) tidy(q *queue) {
	if len(q.blobs) == 0 && q.cold == 0 && q.expired == 0 {
		delete(h.queues, q.name)
	}
}

// read says that somebody begins to read the file.
func (h *holdings) read() { h.reading = true }

// readNoMore says that he has ended.
func (h *holdings) readNoMore() {
	h.reading = false
	leaving := h.leaving
	h.leaving = nil
	for _, b := range leaving {
		h.rest(b)
	}
}

// allSaved says that the file knows all that is done.
func (h *holdings) allSaved() bool { return len(h.unsaved) == 0 && h.saving == 0 }

// save gives the blobs of which the file is to be told what is done.
func (h *holdings) save() []*blob {
	blobs := h.unsaved
	h.unsaved = nil
	h.saving += len(blobs)
	for _, b := range blobs {
		b.unsaved = false
		b.saving++
	}
	return blobs
}

// saved says that the file has been told of a blob, or that it could not be.
func (h *holdings) saved(b *blob, ok bool) {
	h.saving--
	b.saving--
	if !ok && !b.unsaved {
		b.unsaved = true
		h.unsaved = append(h.unsaved, b)
	}
	h.rest(b)
}

// expire ends all records of b, of which nobody has one.
func (h *holdings) expire(b *blob) {
	q := b.queue
	for i := range b.count {
		if !b.ended.has(i) {
			h.end(b, i)
			q.waiting--
			q.expired++
		}
	}
}

// squeezed takes note that a blob takes fewer bytes than it did.
func (h *holdings) squeezed(queue string, number uint64, fewer int64) {
	q := h.queues[queue]
	if q == nil {
		return
	}
	if b := q.blobs[number]; b != nil {
		if b.over() {
			return // its bytes do not count any more
		}
		b.cost -= fewer
	}
	h.grow(q, -fewer)
}
