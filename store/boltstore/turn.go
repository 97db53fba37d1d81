package boltstore

import (
	"os"
	"path/filepath"

	"apnsbridge/store/boltstore/boltfile"
)

// turnName is the file whose lock is the turn.
const turnName = "turn.lock"

// Turn is the right to have the store next. Of several processes that wait for it, one that has
// waited before others is thus not overtaken by whoever happens to look first.
type Turn struct{ file *os.File }

// TakeTurn waits a moment for the turn to have the store in dir. If another process has it, the
// error is ErrInUse.
func TakeTurn(dir string) (*Turn, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(dir, err)
	}
	file, err := boltfile.Hold(filepath.Join(dir, turnName))
	if err != nil {
		return nil, err
	}
	return &Turn{file}, nil
}

// End gives the turn to the next process.
func (t *Turn) End() { t.file.Close() }
