package conversation

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"apnsbridge/binproto"
)

// Record is something to be remembered over a restart. A record without Value
// deletes the one of its Key.
type Record struct {
	Key     []byte
	Value   []byte
	Expires time.Time
}

const (
	recordVersion = 1
	habitRecord   = 'h'
	episodeRecord = 'e'
	habitKept     = 90 * 24 * time.Hour
	episodeKept   = 72 * time.Hour // downtime, which does not count as part of a life
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

// Records is all that is remembered, for a shutdown. They replace those of the
// same keys that were handed out before. Notifications that have no verdict yet
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

// An episode that grows behind its packet is written down again after saveAfter,
// and a while for each notification in it: one of many thousands must not keep
// the disk busy.
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

// save writes down what has changed.
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

// episodeRecord writes down the live entries of e. How long they have yet to
// live counts from the moment they are loaded.
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
		v = appendFlags(v, x.frame.has, x.constant, x.state == pending, x.state == refused)
		v = binary.BigEndian.AppendUint32(v, x.frame.identifier)
		v = appendKind(v, x.habit.kind)
		if x.state == refused {
			v = appendRefusal(v, x.refusal)
		}
	}
	return Record{Key: l.episodeKey(e), Value: v, Expires: l.epoch.Add(t).Add(episodeKept)}
}

// Restore takes back what Records, or a Packet, handed out, before the first
// connection is opened. settled says that the records come from an orderly
// shutdown or a spool that has everything: what had no verdict when its record
// was written has been delivered, or will be. Otherwise such notifications are
// forgotten, and delivered when they are sent again.
//
// An error names the record that cannot be read; the others are taken.
func (l *Ledger) Restore(rs []Record, settled bool, now time.Time) error {
	var failed []error
	for _, r := range rs {
		if err := l.restore(r, settled, now); err != nil {
			failed = append(failed, fmt.Errorf("conversation: record %.60q of %d bytes: %w", r.Key, len(r.Value), err))
		}
	}
	return errors.Join(failed...)
}

var errRecord = errors.New("cannot be read")

func (l *Ledger) restore(r Record, settled bool, now time.Time) error {
	prefix := len(l.options.Client) + 1
	if len(r.Key) <= prefix || len(r.Value) == 0 || r.Value[0] != recordVersion {
		return errRecord
	}
	b := reader{rest: r.Value[1:]}
	switch r.Key[prefix] {
	case habitRecord:
		k, flags, misses, missed := b.kind(), b.byte(), b.byte(), b.time()
		if b.failed {
			return errRecord
		}
		h := l.habit(k)
		h.resends, h.keeps, h.renames = flags&1 != 0, flags&2 != 0, flags&4 != 0
		h.misses, h.missed = int(misses), missed
		return nil
	case episodeRecord:
		return l.restoreEpisode(r.Key[prefix+1:], &b, settled, l.at(now))
	}
	return errRecord
}

func (l *Ledger) restoreEpisode(number []byte, b *reader, settled bool, t instant) error {
	if len(number) != 8 {
		return errRecord
	}
	k, flags := b.kind(), b.byte()
	e := &episode{
		number: int64(binary.BigEndian.Uint64(number)), positional: flags&1 != 0,
		stage: waiting, record: recorded, packet: t, closed: t,
	}
	if flags&4 != 0 {
		e.stage = judged
	}
	if flags&8 != 0 {
		e.longest = run
	}
	if flags&16 != 0 {
		e.cause, e.named = shutdown, 1
	}
	l.lastNumber = max(l.lastNumber, e.number)
	var list pair
	copy(list.before[:], b.take(len(list.before)))
	copy(list.failed[:], b.take(len(list.failed)))
	e.base = t - time.Duration(b.uint64())
	e.matched = int(b.uint32())
	if flags&32 != 0 {
		e.failure = b.refusal()
	}
	if b.failed {
		return errRecord
	}
	if flags&2 != 0 {
		l.watchList(e, list)
	}
	e.habit = l.habit(k)
	l.episodes = append(l.episodes, e)
	l.account(episodeBytes)
	l.due = min(l.due, t)
	for len(b.rest) > 0 {
		x := &entry{}
		copy(x.key[:], b.take(len(x.key)))
		flags := b.byte()
		x.frame.has, x.constant = flags&1 != 0, flags&2 != 0
		x.frame.identifier = b.uint32()
		x.habit = l.habit(b.kind())
		x.state = accepted
		if flags&8 != 0 {
			x.state = refused
			x.refusal = b.refusal()
		}
		if b.failed {
			return errRecord
		}
		if flags&4 != 0 && !settled {
			continue
		}
		if l.enter(e, x) != nil {
			e.pending--
		}
	}
	return nil
}

// reader takes a record apart. Behind its end it reads zeros, and has failed.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.failed, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) number(n int) (v uint64) {
	for _, b := range r.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

func (r *reader) byte() byte     { return byte(r.number(1)) }
func (r *reader) uint32() uint32 { return uint32(r.number(4)) }
func (r *reader) uint64() uint64 { return r.number(8) }

func (r *reader) time() time.Time {
	if n := r.uint64(); n != 0 {
		return time.Unix(0, int64(n))
	}
	return time.Time{}
}

func (r *reader) refusal() *refusal {
	f := &refusal{status: binproto.Status(r.byte()), time: r.time()}
	if token := r.take(int(r.byte())); len(token) > 0 {
		f.token = bytes.Clone(token)
	}
	return f
}

func (r *reader) kind() (k Kind) {
	if k.Address.UnmarshalBinary(r.take(int(r.byte()))) != nil {
		r.failed = true
	}
	k.Command = binproto.Command(r.byte())
	k.Layout = binproto.Layout(r.uint32())
	return k
}
