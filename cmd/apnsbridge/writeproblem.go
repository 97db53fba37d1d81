package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// writeProblem says why path cannot be written, and what to do about it. What is no
// error of the file system stays as it is.
func writeProblem(path string, err error, remedy string) error {
	var failed *fs.PathError
	if !errors.As(err, &failed) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) {
		remedy = "make room, or name a place on another disk"
	}
	return fmt.Errorf("%s cannot be written: %w: %s", path, failed.Err, remedy)
}

// elsewhere is the remedy where a person has named the place just now.
const elsewhere = "name a place where you may write"
