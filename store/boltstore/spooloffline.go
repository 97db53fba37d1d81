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
	"apnsbridge/store/boltstore/boltfile"
)

// ErrNoSpool says that a directory has no spool.
var ErrNoSpool = errors.New("there is no spool")

// OpenSpoolOffline opens the spool of the store in dir for a command. It does not make
// one, and leaves a damaged file as it is. The caller closes the spool. Its errors
// include ErrNoSpool and ErrInUse.
func OpenSpoolOffline(dir string, o Options) (*Spool, error) {
	path := filepath.Join(dir, spoolDir, queuesFileName)
	if !fileExists(path) {
		return nil, fmt.Errorf("%w in %s", ErrNoSpool, dir)
	}
	s, err := openSpool(dir, o, true)
	switch {
	case errors.Is(err, ErrInUse):
		return nil, fmt.Errorf("%s is %w: stop the gateway that runs, and do this again", path, ErrInUse)
	case boltfile.IsDamage(err):
		return nil, fmt.Errorf("%w: start the gateway, which sets it aside and begins a new one, and import it then",
			err)
	}
	return s, err
}

// SpoolBeside gives what waits in the store in dir while another process has it open,
// and the time of these figures.
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

// Purge ends every record of a line that is not checked out, and gives how many those
// were.
func (s *Spool) Purge(ctx context.Context, l store.Line) (n int, err error) {
	return store.DrainSpool(ctx, s, l, func([]store.SpoolRecord) error { return nil })
}

// Move is store.MoveSpool.
func (s *Spool) Move(ctx context.Context, from, to store.Line) (n int, err error) {
	return store.MoveSpool(ctx, s, from, to)
}
