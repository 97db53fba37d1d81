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

// ErrNoSpool says that a directory has no spool.
var ErrNoSpool = errors.New("there is no spool")

// OpenSpoolOffline opens the spool of the store in dir for a command, and makes
// none. A file that is damaged is left as it is. The caller closes it. ErrNoSpool
// and ErrInUse are told from other errors.
func OpenSpoolOffline(dir string, o Options) (*Spool, error) {
	path := filepath.Join(dir, spoolDir, queuesFileName)
	if !fileExists(path) {
		return nil, fmt.Errorf("%w in %s", ErrNoSpool, dir)
	}
	s, err := openSpool(dir, o, true)
	switch {
	case errors.Is(err, ErrInUse):
		return nil, fmt.Errorf("%s is %w: stop the gateway that runs, and do this again", path, ErrInUse)
	case isDamage(err):
		return nil, fmt.Errorf("%w: start the gateway, which sets it aside and begins a new one, and import it then", err)
	}
	return s, err
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
	for {
		list, err := s.takeAny(ctx, l)
		if err != nil || len(list) == 0 {
			return n, errors.Join(err, s.Flush(context.WithoutCancel(ctx)))
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
			return n, err
		}
		n += len(whole)
		s.Done(l, keys...)
	}
}

// takeAny takes what is in the queues of some devices of a line, or of the log if
// there are none.
func (s *Spool) takeAny(ctx context.Context, l store.Line) (list []store.SpoolRecord, err error) {
	devices, err := s.Devices(ctx, l, nil, 100)
	for i := 0; i < len(devices) && err == nil && len(list) < drainRecords; i++ {
		var more []store.SpoolRecord
		more, err = s.TakeOf(ctx, l, devices[i].Token, drainRecords, drainBytes/100)
		list = append(list, more...)
	}
	if len(devices) == 0 && err == nil {
		list, err = s.Take(ctx, l, drainRecords, drainBytes)
	}
	return list, err
}

// Purge ends all of a line that is not checked out, and says how many records that
// were.
func (s *Spool) Purge(ctx context.Context, l store.Line) (n int, err error) {
	return s.drain(ctx, l, func([]store.SpoolRecord) error { return nil })
}

// Move moves all of a line that is not checked out to another one, behind what is
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
