//go:build !unix

package boltfile

import (
	"errors"
	"os"
)

// lock fails: what has no flock has no gateway either.
func lock(*os.File) error { return errors.ErrUnsupported }

func unlock(*os.File) {}
