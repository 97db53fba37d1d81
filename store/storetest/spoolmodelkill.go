package storetest

import (
	"maps"
	"slices"

	"apnsbridge/store"
)

// forget takes note that what is done is durable now.
func (m *spoolModel) forget() {
	maps.DeleteFunc(m.rows, func(_ uint64, r *row) bool { return r.limbo })
}

func (m *spoolModel) letGo() {
	for _, r := range m.rows {
		r.hand = false
	}
}

// afterKill finds out which of the records that were done have come back.
func (m *spoolModel) afterKill() {
	back := make(map[uint64]bool)
	for _, l := range modelLines {
		keys := m.all(l)
		for _, k := range keys {
			if r := m.rows[k.ID]; r == nil || r.Queued != k.Queued || back[k.ID] {
				m.Fatalf("after a kill: got record %+v, which is unknown, in another place, or there twice", k)
			}
			back[k.ID] = true
		}
		m.s.Return(l, keys...)
	}
	for id, r := range m.rows {
		switch {
		case back[id]:
			r.limbo = false
		case r.limbo:
			delete(m.rows, id)
		default:
			m.Fatalf("after a kill: record %d is gone", id)
		}
	}
}

// all takes everything that waits in a line.
func (m *spoolModel) all(l store.Line) (keys []store.SpoolKey) {
	list, err := m.s.Take(ctx, l, 1<<20, unlimited)
	must(m.T, err)
	for {
		devices, err := m.s.Devices(ctx, l, nil, 2)
		must(m.T, err)
		if len(devices) == 0 {
			break
		}
		for _, d := range devices {
			more, err := m.s.TakeOf(ctx, l, d.Token, 1<<20, unlimited)
			must(m.T, err)
			if len(more) != d.Records {
				m.Fatalf("got %d records of device %x, want %d", len(more), d.Token, d.Records)
			}
			list = append(list, more...)
		}
	}
	for _, r := range list {
		keys = append(keys, r.SpoolKey)
	}
	return keys
}

// check compares what the spool answers from memory with the model.
func (m *spoolModel) check() {
	var want []store.LineWaiting
	for _, l := range modelLines {
		w := store.LineWaiting{Line: l}
		waiting := 0
		queues := make(map[string]bool)
		for _, r := range m.list(func(r *row) bool { return r.line == l }) {
			if r.Queued {
				w.Queued++
				queues[string(r.Token)] = true
				continue
			}
			if w.Log++; !r.hand {
				waiting++
			}
		}
		if got := m.s.Waiting(l); got != waiting {
			m.Fatalf("%v: got %d waiting, want %d", l, got, waiting)
		}
		for token := range queues {
			if !m.s.Queued(l, []byte(token)) {
				m.Fatalf("%v: device %x has a queue, but Queued says that it has none", l, token)
			}
		}
		if w.Log+w.Queued > 0 {
			want = append(want, w)
		}
	}
	got := m.s.Stats().Lines
	if !slices.EqualFunc(got, want, func(a, b store.LineWaiting) bool {
		return a.Line == b.Line && a.Log == b.Log && a.Queued == b.Queued
	}) {
		m.Fatalf("got %+v, want %+v", got, want)
	}
}
