package boltstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"apnsbridge/store"
)

// OpenSpoolOffline opens the spool of the store in dir for a command, and makes
// none. A file that is damaged is left as it is. The caller closes it. ErrNoSpool
// and ErrInUse are told from other errors.
func OpenSpoolOffline(dir string, o Options) (*Spool, error) {
	path := filepath.Join(dir, spoolDir, queuesFileName)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w in %s", ErrNoSpool, dir)
	}
	s, err := openSpool(dir, o, true)
	if errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("%s is %w: stop the gateway that runs, and do this again", path, ErrInUse)
	}
	return s, leftDamaged(err)
}

// SpoolBeside is what waits in the store in dir while another process has it open,
// and as of when.
func SpoolBeside(dir string) (stats store.SpoolStats, asOf time.Time, err error) {
	path := filepath.Join(dir, spoolDir, waitingName)
	info, err := os.Stat(path)
	if err != nil {
		return stats, asOf, err
	}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &stats)
	}
	return stats, info.ModTime(), err
}

// drained is how much drain has in memory.
const (
	drainRecords = 10_000
	drainBytes   = 16 << 20
)

// drain takes all of a line, that of queues first, and ends what fn has done with it.
// What cannot be read ends too.
func (s *Spool) drain(ctx context.Context, l store.Line, fn func([]store.SpoolRecord) error) (n int, err error) {
	end := func(list []store.SpoolRecord, err error) (more bool, _ error) {
		if len(list) == 0 || err != nil {
			return false, err
		}
		var keys []store.SpoolKey
		whole := list[:0]
		for _, r := range list {
			if keys = append(keys, r.SpoolKey); r.Broken == nil {
				whole = append(whole, r)
			}
		}
		if err := fn(whole); err != nil {
			s.Return(l, keys...)
			return false, err
		}
		n += len(whole)
		s.Done(l, keys...)
		return true, nil
	}
	for more := true; more && err == nil; {
		var devices []store.QueuedDevice
		if devices, err = s.Devices(ctx, l, nil, drainRecords); err != nil {
			break
		}
		more = len(devices) > 0
		for i := 0; i < len(devices) && err == nil; i++ {
			for again := true; again && err == nil; {
				again, err = end(s.TakeOf(ctx, l, devices[i].Token, drainRecords, drainBytes))
			}
		}
	}
	for more := true; more && err == nil; {
		more, err = end(s.Take(ctx, l, drainRecords, drainBytes))
	}
	return n, errors.Join(err, s.Flush(context.WithoutCancel(ctx)))
}

// Purge ends all of a line that is in nobody's hands, and says how many records that
// were.
func (s *Spool) Purge(ctx context.Context, l store.Line) (n int, err error) {
	return s.drain(ctx, l, func([]store.SpoolRecord) error { return nil })
}

// Move moves all of a line that is in nobody's hands to another one, behind what is
// there, and says how many records that were. They get new IDs. If the process ends
// meanwhile some are in both.
func (s *Spool) Move(ctx context.Context, from, to store.Line) (n int, err error) {
	return s.drain(ctx, from, func(list []store.SpoolRecord) error {
		moved := make([]store.SpoolRecord, len(list))
		for i, r := range list {
			r.ID = 0
			moved[i] = r
		}
		return s.Put(ctx, store.SpoolBatch{Line: to, Records: moved})
	})
}
