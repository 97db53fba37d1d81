package store

import (
	"context"
	"errors"
	"slices"
)

// What DrainSpool has in memory.
const (
	drainRecords = 4096
	drainBytes   = 1 << 20
)

// DrainSpool takes all of a line that is not checked out, that of queues first, has fn see
// to it, and ends it. What cannot be read ends too. It gives how many records fn has had.
// If fn fails, what it was called with stays, which it may change.
func DrainSpool(ctx context.Context, s Spool, l Line, fn func([]SpoolRecord) error) (n int, err error) {
	for {
		list, err := takeAny(ctx, s, l)
		if err == nil && len(list) == 0 {
			return n, s.Flush(context.WithoutCancel(ctx))
		}
		keys := KeysOf(list)
		whole := slices.DeleteFunc(list, func(r SpoolRecord) bool { return r.Broken != nil })
		if err == nil && len(whole) > 0 {
			err = fn(whole)
		}
		if err != nil {
			s.Return(l, keys...)
			return n, errors.Join(err, s.Flush(context.WithoutCancel(ctx)))
		}
		n += len(whole)
		s.Done(l, keys...)
	}
}

// takeAny takes what is in the queues of some devices of a line, or of the log if
// there are none.
func takeAny(ctx context.Context, s Spool, l Line) (list []SpoolRecord, err error) {
	const together = 100 // devices
	devices, err := s.Devices(ctx, l, nil, together)
	for i := 0; i < len(devices) && err == nil && len(list) < drainRecords; i++ {
		var more []SpoolRecord
		more, err = s.TakeOf(ctx, l, devices[i].Token, drainRecords, drainBytes/together)
		list = append(list, more...)
	}
	if len(devices) == 0 && err == nil {
		list, err = s.Take(ctx, l, drainRecords, drainBytes)
	}
	return list, err
}

// MoveSpool moves all of a line that is not checked out to another one, behind what is
// there, and gives how many records that were. They get new IDs. If the process ends
// meanwhile some are in both.
func MoveSpool(ctx context.Context, s Spool, from, to Line) (n int, err error) {
	return DrainSpool(ctx, s, from, func(list []SpoolRecord) error {
		for i := range list {
			list[i].ID = 0
		}
		err := s.Put(ctx, SpoolBatch{Line: to, Records: list})
		if err == nil {
			s.Return(to, KeysOf(list)...)
		}
		return err
	})
}

// KeysOf are the keys of records.
func KeysOf(records []SpoolRecord) []SpoolKey {
	keys := make([]SpoolKey, len(records))
	for i, r := range records {
		keys[i] = r.SpoolKey
	}
	return keys
}
