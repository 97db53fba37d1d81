package boltstore

import (
	"errors"
	"fmt"
	"os"
)

// ErrNoSpool says that a directory has no spool.
var ErrNoSpool = errors.New("there is no spool")

// leftDamaged says what to do about a damaged file.
func leftDamaged(err error) error {
	if isDamage(err) {
		return fmt.Errorf("%w: start the gateway, which sets it aside and begins a new one, and import it then", err)
	}
	return err
}

// syncDir makes durable that a file has another name.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
