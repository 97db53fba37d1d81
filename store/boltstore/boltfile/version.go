package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"go.etcd.io/bbolt"
)

// MetaBucket has what a file says of itself.
var MetaBucket = []byte("meta")

var versionKey = []byte("version")

// prepareVersion makes sure that a file is of a version, which a new one gets.
func prepareVersion(tx *bbolt.Tx, version uint32) error {
	meta, err := tx.CreateBucketIfNotExists(MetaBucket)
	if err != nil {
		return err
	}
	v := meta.Get(versionKey)
	switch {
	case v == nil:
		return meta.Put(versionKey, binary.BigEndian.AppendUint32(nil, version))
	case len(v) != 4:
		return Damage("a version of %d bytes", len(v))
	case binary.BigEndian.Uint32(v) != version:
		return fmt.Errorf("is of version %d and this program knows version %d: use the program that wrote it, "+
			"or another store.path", binary.BigEndian.Uint32(v), version)
	}
	return nil
}

// Unwritable says why nothing can be written at a path, and what to do. It is nil without
// an error.
func Unwritable(path string, err error) error {
	if err == nil {
		return nil
	}
	remedy := "name a directory on a disk, where the user that apnsbridge runs as may write"
	if errors.Is(err, syscall.ENOSPC) {
		remedy = "make room, or name a directory on another disk"
	}
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return fmt.Errorf("%s cannot be written: %w: %s", path, err, remedy)
}
