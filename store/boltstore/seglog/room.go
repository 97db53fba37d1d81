package seglog

import (
	"errors"
	"os"
	"syscall"
)

// roomName is of a file that is given up when the disk is full, so that what is done
// can be said, by which a disk that the spool itself has filled becomes empty again.
const (
	roomName  = "room"
	probeName = "probe" + newEnd
)

// keepRoom makes sure that the file is there: nothing is put without it. The caller
// has l.writing.
func (l *Log) keepRoom() error {
	if l.room {
		return nil
	}
	if err := l.occupy(roomName, l.Room); err != nil {
		l.Note(err, l.Room)
		return err
	}
	l.room = true
	return nil
}

// occupy makes a file that takes size bytes of the disk.
func (l *Log) occupy(name string, size int64) error {
	f, err := os.OpenFile(l.path(name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = allocate(f, size); errors.Is(err, errors.ErrUnsupported) {
		_, err = f.Write(make([]byte, size))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
	}
	return err
}

// KeepRoom makes sure that what is written elsewhere on the disk could make it emptier
// again: nothing is put without.
func (l *Log) KeepRoom() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.keepRoom()
}

// Probe looks whether the disk takes so many bytes, so that it is known even if nothing is
// written.
func (l *Log) Probe(bytes int64) {
	l.writing.Lock()
	defer l.writing.Unlock()
	err := l.keepRoom()
	if err == nil {
		err = l.occupy(probeName, bytes)
		os.Remove(l.path(probeName))
		l.Note(err, bytes)
	}
}

// WithRoom does what makes a full disk emptier, if need be with the room that was kept
// for it.
func (l *Log) WithRoom(do func() error) error {
	err := do()
	if IsFull(err) && l.giveRoom() {
		err = do()
	}
	l.Note(err, 0)
	return err
}

// IsFull reports whether err is that of a disk which is full, or of which no more is ours.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// giveRoom gives the file up, and reports whether it was there.
func (l *Log) giveRoom() bool {
	l.writing.Lock()
	defer l.writing.Unlock()
	was := l.room
	l.room = false
	return was && os.Remove(l.path(roomName)) == nil
}
