package conversation

import (
	"bytes"
	"encoding/binary"
	"time"
)

// Record is something that has to survive a restart. A record without Value deletes the
// one with its Key.
type Record struct {
	Key     []byte
	Value   []byte
	Expires time.Time
}

// IsEpisode reports whether r is about notifications that may come again: such a record
// ends by itself, whether or not its client comes.
func (r Record) IsEpisode() bool {
	_, rest, _ := bytes.Cut(r.Key, []byte{separator})
	return len(rest) > 0 && rest[0] == episodeRecord
}

const (
	recordVersion = 1
	habitRecord   = 'h'
	episodeRecord = 'e'
	habitKept     = 90 * 24 * time.Hour
	episodeKept   = 72 * time.Hour // of downtime, which does not count towards an episode's life
	separator     = 0
)

// Client is the client whose record has the given key.
func Client(recordKey []byte) string {
	client, _, _ := bytes.Cut(recordKey, []byte{separator})
	return string(client)
}

func (l *Ledger) recordKey(what byte) []byte {
	return append(append([]byte(l.options.Client), separator), what)
}

func (l *Ledger) episodeKey(e *episode) []byte {
	return binary.BigEndian.AppendUint64(l.recordKey(episodeRecord), uint64(e.number))
}

// Records gives everything that is remembered, for a shutdown. These records replace
// those with the same keys that were handed out before. Notifications without a verdict
// are left out: settle them first.
func (l *Ledger) Records(now time.Time) []Record {
	t := l.at(now)
	var rs []Record
	for _, h := range l.habits {
		if *h != (habit{kind: h.kind, seen: h.seen}) {
			rs = append(rs, l.habitRecord(h))
		}
	}
	for _, e := range l.episodes {
		if e.cause != reset && e.stage != unheard && (e.live > 0 || e.failure != nil) {
			rs = append(rs, l.episodeRecord(e, t))
		} else if e.record != unrecorded {
			rs = append(rs, Record{Key: l.episodeKey(e)})
		}
	}
	return rs
}

// An episode that grows behind its packet is recorded again after saveAfter, plus saveEach
// for each notification in it: one of many thousands must not keep the disk busy.
const (
	saveAfter = 100 * time.Millisecond
	saveEach  = 100 * time.Microsecond
)

// changed notes that the record of e is out of date.
func (l *Ledger) changed(e *episode, t instant) {
	if l.options.Durable && e.record == recorded {
		e.record = outdated
		l.saveAt = min(l.saveAt, t+saveAfter+time.Duration(e.live)*saveEach)
	}
}

// save records the episodes that have changed.
func (l *Ledger) save(t instant) {
	l.saveAt = never
	for _, e := range l.episodes {
		if e.record == outdated {
			e.record = recorded
			l.out.put(Decision{Do: Persist, Records: []Record{l.episodeRecord(e, t)}})
		}
	}
}

func (l *Ledger) persistHabit(h *habit) {
	if l.options.Durable {
		l.out.put(Decision{Do: Persist, Records: []Record{l.habitRecord(h)}})
	}
}

func appendKind(b []byte, k Kind) []byte {
	address, _ := k.Address.MarshalBinary()
	b = append(b, byte(len(address)))
	b = append(b, address...)
	b = append(b, byte(k.Command))
	return binary.BigEndian.AppendUint32(b, uint32(k.Layout))
}

func appendFlags(b []byte, flags ...bool) []byte {
	var f byte
	for i, on := range flags {
		if on {
			f |= 1 << i
		}
	}
	return append(b, f)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.BigEndian.AppendUint64(b, 0)
	}
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixNano()))
}

func (l *Ledger) habitRecord(h *habit) Record {
	v := appendKind([]byte{recordVersion}, h.kind)
	v = appendFlags(v, h.resends, h.keeps, h.renames)
	v = append(v, byte(min(h.misses, 255)))
	v = appendTime(v, h.missed)
	return Record{Key: appendKind(l.recordKey(habitRecord), h.kind), Value: v, Expires: l.epoch.Add(h.seen).Add(habitKept)}
}

func appendRefusal(v []byte, r *refusal) []byte {
	v = append(v, byte(r.status))
	v = appendTime(v, r.time)
	v = append(v, byte(len(r.token)))
	return append(v, r.token...)
}

// episodeRecord makes a record of the live entries of e. The rest of their life counts from
// the moment at which they are loaded.
func (l *Ledger) episodeRecord(e *episode, t instant) Record {
	v := appendKind([]byte{recordVersion}, e.habit.kind)
	v = appendFlags(v, e.positional, e.list != nil, e.stage == judged, e.ran(), e.cause == shutdown, e.failure != nil)
	var list pair
	if e.list != nil {
		list = *e.list
	}
	v = append(append(v, list.before[:]...), list.failed[:]...)
	age := t - e.base
	if e.stage == reading {
		age = 0
	}
	v = binary.BigEndian.AppendUint64(v, uint64(max(age, 0)))
	v = binary.BigEndian.AppendUint32(v, uint32(e.matched))
	if e.failure != nil {
		v = appendRefusal(v, e.failure)
	}
	for _, x := range e.entries {
		if !x.live() {
			continue
		}
		v = append(v, x.key[:]...)
		v = appendFlags(v, x.frame.has, x.constant, x.state == pending, x.state == refused, x.listed)
		v = binary.BigEndian.AppendUint32(v, x.frame.identifier)
		v = appendKind(v, x.habit.kind)
		if x.state == refused {
			v = appendRefusal(v, x.refusal)
		}
	}
	return Record{Key: l.episodeKey(e), Value: v, Expires: l.epoch.Add(t).Add(episodeKept)}
}
