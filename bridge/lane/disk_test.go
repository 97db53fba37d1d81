package lane

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
)

// note is a notification of the tests.
type note struct {
	Item
	topic, device, seq int
	broken             bool // it cannot be read once it is on disk
}

func (n *note) key() key { return key{n.device, n.seq} }

type key struct{ device, seq int }

func token(device int) []byte { return strconv.AppendInt([]byte("device"), int64(device), 10) }

// row is a notification on the fake disk.
type row struct {
	id                 uint64
	topic, device, seq int
	size, expires      int64
	flags              Flags
	queued, broken     bool
	out                bool // checked out
}

// fakeDisk is the naive model of a spool.
type fakeDisk struct {
	rnd     *rand.Rand
	last    uint64 // ID given
	rows    map[uint64]*row
	gone    []*row // done, but perhaps not durably
	room    int    // rows, at most
	broken  bool   // nothing can be written
	unread  bool   // nothing can be read
	moves   int
	puts    [][]uint64 // the IDs of each commit, if it is not nil
	logs    map[int]*rowsByID
	queues  map[int]map[string]*rowsByID
	listed  map[int][]string // the keys of queues in their order; nil: not known
	waiting map[int]int      // by topic, in the log and not checked out
}

// rowsByID are rows in the order of their IDs, some of which may have been removed.
type rowsByID struct{ rows []*row }

func (o *rowsByID) add(w *row) {
	o.rows = slices.Insert(o.rows, o.index(w.id), w)
}

func (o *rowsByID) index(id uint64) int {
	at, _ := slices.BinarySearchFunc(o.rows, id, func(x *row, id uint64) int { return cmp.Compare(x.id, id) })
	return at
}

func newFakeDisk(rnd *rand.Rand) *fakeDisk {
	return &fakeDisk{rnd: rnd, rows: map[uint64]*row{}, room: 1e9, waiting: map[int]int{},
		logs: map[int]*rowsByID{}, queues: map[int]map[string]*rowsByID{}, listed: map[int][]string{}}
}

// place gives the rows that w belongs to.
func (d *fakeDisk) place(w *row) *rowsByID {
	if !w.queued {
		if d.logs[w.topic] == nil {
			d.logs[w.topic] = &rowsByID{}
		}
		return d.logs[w.topic]
	}
	q := d.queues[w.topic]
	if q == nil {
		q = map[string]*rowsByID{}
		d.queues[w.topic] = q
	}
	t := string(token(w.device))
	if q[t] == nil {
		q[t], d.listed[w.topic] = &rowsByID{}, nil
	}
	return q[t]
}

// add puts a new row where it belongs.
func (d *fakeDisk) add(w *row) {
	d.rows[w.id] = w
	d.place(w).add(w)
	if !w.queued && !w.out {
		d.waiting[w.topic]++
	}
}

// remove takes a row away.
func (d *fakeDisk) remove(w *row) {
	delete(d.rows, w.id)
	if !w.queued && !w.out {
		d.waiting[w.topic]--
	}
	o := d.place(w)
	if at := o.index(w.id); at == 0 {
		o.rows = o.rows[1:]
	} else {
		o.rows = slices.Delete(o.rows, at, at+1)
	}
	if w.queued && len(o.rows) == 0 {
		delete(d.queues[w.topic], string(token(w.device)))
		d.listed[w.topic] = nil
	}
}

func (d *fakeDisk) checkOut(w *row, out bool) {
	if !w.queued && w.out != out {
		if d.waiting[w.topic]++; out {
			d.waiting[w.topic] -= 2
		}
	}
	w.out = out
}

// put writes items, as far as there is room, and gives how many are on disk.
func (d *fakeDisk) put(its []*Item) int {
	if d.broken {
		return 0
	}
	var ids []uint64
	for k, it := range its {
		n := it.Owner.(*note)
		if it.ID == 0 {
			if len(d.rows) >= d.room {
				return k
			}
			d.last++
			it.ID = d.last
		} else {
			if !it.ToQueue() {
				panic("what is in the log is written there again")
			}
			d.moves++
			d.remove(d.rows[it.ID])
		}
		flags := it.saved
		if !it.ToQueue() {
			flags = Flags{}
		}
		ids = append(ids, it.ID)
		d.add(&row{id: it.ID, topic: n.topic, device: n.device, seq: n.seq, size: it.Size, expires: it.Expires,
			flags: flags, queued: it.ToQueue(), broken: n.broken, out: true})
	}
	if d.puts != nil {
		d.puts = append(d.puts, ids)
	}
	return len(its)
}

func (d *fakeDisk) take(r *Read, n *Line, w *row) {
	d.checkOut(w, true)
	x := &note{topic: w.topic, device: w.device, seq: w.seq, broken: w.broken}
	x.Item = Item{Owner: x, Line: n, Token: token(w.device), Size: w.size, Expires: w.expires, ID: w.id, Flags: w.flags}
	x.Stored(w.queued)
	if w.broken {
		r.Broken = append(r.Broken, &x.Item)
	} else {
		r.Got = append(r.Got, &x.Item)
	}
}

// takeOldest takes the oldest of o, within r.Limit and room but at least one. It gives the room
// that is left.
func (d *fakeDisk) takeOldest(r *Read, o *rowsByID, room int64) int64 {
	if o == nil {
		return room
	}
	limit, one := r.Limit, true
	for _, w := range slices.Clone(o.rows[:min(len(o.rows), 4096)]) {
		switch {
		case w.out:
			continue
		case limit == 0 || room < w.size && !one:
			return room
		}
		d.take(r, r.Lines[0], w)
		limit--
		one = false
		if !w.broken {
			room = max(0, room-w.size)
		}
	}
	return room
}

var errUnread = errors.New("the disk cannot be read")

// read carries out r. It gives the room that is left.
func (d *fakeDisk) read(r *Read, room int64, free func(*Line, []byte) bool) int64 {
	if d.unread {
		r.Err = errUnread
		return room
	}
	topic := r.Lines[0].disk.(*fakeLine).topic
	switch r.From {
	case Log:
		return d.takeOldest(r, d.logs[topic], room)
	case Queue:
		return d.takeOldest(r, d.queues[topic][string(r.Device)], room)
	case Sample:
		for _, n := range r.Lines {
			all := d.sample(n, free)
			for _, w := range all[:min(len(all), r.Limit)] {
				d.take(r, n, w)
				room -= w.size
			}
			if len(all) > 0 {
				return room
			}
		}
	case List:
		d.list(r, topic)
	}
	return room
}

// sample gives the rows in the log of n that are the first of their device there, in any order.
func (d *fakeDisk) sample(n *Line, free func(*Line, []byte) bool) (may []*row) {
	o := d.logs[n.disk.(*fakeLine).topic]
	if o == nil {
		return nil
	}
	seen := map[int]bool{}
	for _, w := range o.rows {
		if !w.out && !seen[w.device] {
			seen[w.device] = true
			if free(n, token(w.device)) {
				may = append(may, w)
			}
		}
	}
	d.rnd.Shuffle(len(may), func(i, j int) { may[i], may[j] = may[j], may[i] })
	return may
}

// list gives the devices with a queue that is not entirely checked out.
func (d *fakeDisk) list(r *Read, topic int) {
	if d.listed[topic] == nil {
		for t := range d.queues[topic] {
			d.listed[topic] = append(d.listed[topic], t)
		}
		slices.Sort(d.listed[topic])
	}
	from, found := slices.BinarySearch(d.listed[topic], string(r.After))
	if found {
		from++
	}
	for _, t := range d.listed[topic][from:] {
		if len(r.Devices) == r.Limit {
			return
		}
		if slices.ContainsFunc(d.queues[topic][t].rows, func(w *row) bool { return !w.out }) {
			r.Devices = append(r.Devices, []byte(t))
		}
	}
}

// fakeLine is a line's part of a fakeDisk.
type fakeLine struct {
	disk  *fakeDisk
	topic int
}

func (f *fakeLine) Waiting() int { return f.disk.waiting[f.topic] }

func (f *fakeLine) Queued(t []byte) bool { return f.disk.queues[f.topic][string(t)] != nil }

func (f *fakeLine) Return(it *Item) {
	w := f.disk.rows[it.ID]
	if !w.out {
		panic("returned and not checked out")
	}
	f.disk.checkOut(w, false)
}

func (f *fakeLine) Done(it *Item) {
	d := f.disk
	w := d.rows[it.ID]
	if !w.out {
		panic("done and not checked out")
	}
	d.remove(w)
	if d.gone = append(d.gone, w); len(d.gone) > 3 {
		d.gone = d.gone[1:]
	}
}
