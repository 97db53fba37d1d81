//go:build !unix

package boltstore

import (
	"errors"
	"os"
)

// lock fails: what has no flock has no gateway either.
func lock(*os.File) error { return errors.ErrUnsupported }

func unlock(*os.File) {}
