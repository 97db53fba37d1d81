package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Options are those of Open.
type Options struct {
	Version uint32 // of what is in the file, which a new one gets
	Now     func() time.Time
	Leave   bool // a damaged file is left as it is, and an error
}

// Open opens the file at path, has prepare read what is in it, and starts its writer. If
// it is damaged, as prepare may find too, it is set aside and a new one takes its place, for
// which prepare is called again.
func Open(path string, o Options, prepare func(*bbolt.Tx) error) (f *File, aside *SetAside, err error) {
	f, err = open(path, o, prepare)
	if errors.As(err, &aside) {
		f, err = open(path, o, prepare)
	}
	if err != nil {
		return nil, aside, err
	}
	go f.write()
	return f, aside, nil
}

func open(path string, o Options, prepare func(*bbolt.Tx) error) (*File, error) {
	f, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	err = f.guard(func() error {
		return f.bolt.Update(func(tx *bbolt.Tx) error {
			if err := prepareVersion(tx, o.Version); err != nil {
				return err
			}
			return prepare(tx)
		})
	})
	if err != nil {
		return nil, f.refuse(f.explain(err))
	}
	return f, nil
}

// openFile opens the file at path and looks at its structure. One that is damaged has
// been set aside when it returns, unless it is to be left.
func openFile(path string, o Options) (*File, error) {
	f := &File{
		path: path, leave: o.Leave, now: o.Now,
		queue: make(chan change), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	open := func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		if f.opened, err = openLocked(name, flag, mode); err != nil {
			return nil, err
		}
		info, err := f.opened.Stat()
		if err != nil {
			return nil, err
		}
		if err := inspect(f.opened, info.Size()); err != nil {
			return nil, err // and not the file, which bbolt would close and so unlock
		}
		return f.opened, nil
	}
	err := f.guard(func() (err error) {
		options := &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType, OpenFile: open}
		f.bolt, err = bbolt.Open(path, 0o600, options)
		return err
	})
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is %w: stop that one, or give this one its own store.path", path, ErrInUse)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.EROFS):
		return nil, Unwritable(path, err)
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum):
		err = Damage("%v", err)
	}
	return nil, f.refuse(f.explain(err))
}

// refuse lets go of the file that gave err, and sets it aside if it is damaged.
func (f *File) refuse(err error) error {
	if IsDamage(err) && !f.leave {
		return f.setAside(err, f.now())
	}
	f.abandon()
	return err
}

// damaged says what in a file cannot be.
type damaged struct{ what string }

// Error says it.
func (d *damaged) Error() string { return d.what }

// IsDamage reports whether an error is about what in a file cannot be.
func IsDamage(err error) bool {
	var d *damaged
	return errors.As(err, &d)
}

// Damage is an error about what in a file cannot be.
func Damage(format string, args ...any) error {
	return &damaged{fmt.Sprintf(format, args...)}
}
