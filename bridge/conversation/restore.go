package conversation

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"apnsbridge/binproto"
)

// Restore takes back what Records or a Packet handed out. An episode that is known already
// stays as it is. settled says that the records come from an orderly shutdown, or from a
// time when a spool had everything: notifications without a verdict in their record have
// been delivered since, or will be. Otherwise these are forgotten, and delivered when they
// are sent again.
//
// An error names each record that cannot be read; the others are taken.
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

// restoreEpisode takes the record of an episode. settled says that what had no verdict when the
// record was made has one by now, or will have.
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
	if slices.ContainsFunc(l.episodes, func(o *episode) bool { return o.number == e.number }) {
		return nil // it was recorded by this ledger, and is still remembered
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
		e.outdate(stale{list.failed, -1})
	}
	e.habit = l.habit(k)
	l.episodes = append(l.episodes, e)
	l.account(episodeBytes)
	l.due = min(l.due, t)
	for len(b.rest) > 0 {
		x, unsettled := l.restoreEntry(b)
		if b.failed {
			return errRecord
		}
		if unsettled && !settled {
			continue
		}
		if l.enter(e, x) != nil {
			e.pending--
		}
	}
	return nil
}

// restoreEntry reads the next entry of an episode. unsettled says that it had no verdict
// when it was recorded.
func (l *Ledger) restoreEntry(b *reader) (x *entry, unsettled bool) {
	x = &entry{state: accepted}
	copy(x.key[:], b.take(len(x.key)))
	flags := b.byte()
	x.frame.has, x.constant, x.listed = flags&1 != 0, flags&2 != 0, flags&16 != 0
	x.frame.identifier = b.uint32()
	x.habit = l.habit(b.kind())
	if flags&8 != 0 {
		x.state = refused
		x.refusal = b.refusal()
	}
	return x, flags&4 != 0
}

// reader takes a record apart. Beyond the end of the record it reads zeros, and has failed.
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

func (r *reader) byte() byte { return byte(r.number(1)) }

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
