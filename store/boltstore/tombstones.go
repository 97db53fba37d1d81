package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	maxTombstoneBytes = 16 << 20 // of both files; for a small spool, a 64th of its bytes
	tombstoneShare    = 64
	tombstoneSize     = 9                // bytes of a record
	clockInterval     = time.Second      // between two records of the time
	tombstoneFile     = "tombstones"     // the present one
	tombstonesBefore  = "tombstones.old" // the one before
)

// The kinds of a record of a tombstone file: what it says of its number.
const (
	tombPut       = iota + 1 // a key was put into the spool
	tombWithdrawn            // that notification was not delivered after all
	tombClock                // milliseconds since 1970: what follows is not older
)

// Tombstones tell the process that comes after a crash which notifications were put into
// the spool lately, whether or not they were delivered since: their provider may send all
// of them again. Each is a key of the caller's, in a record of nine bytes, kind u8 · number
// u64, in a file that is only appended to. When that file holds half of the bytes that
// tombstones may take, or spans their age, it replaces the file before it.
//
// They are written after a Put and not synced. A kill loses none of them; a power cut loses
// the last seconds, whose resends then arrive twice.
type Tombstones struct {
	dir   string
	age   time.Duration
	limit int64 // bytes of one file
	now   func() time.Time

	mu     sync.Mutex
	file   *os.File // nil until something is written
	size   int64
	began  time.Time // when file began
	clock  time.Time // the latest record of the time in file
	latest time.Time // when a key was last added
	before int64     // bytes of the file before
	buffer []byte
}

func newTombstones(dir string, o Options) *Tombstones {
	t := &Tombstones{
		dir: dir, age: o.TombstoneAge, now: o.Now, latest: o.Now(),
		limit: max(tombstoneSize, min(maxTombstoneBytes, o.SpoolBytes/tombstoneShare)/2),
	}
	t.before = sizeOf(t.path(tombstonesBefore))
	t.size = sizeOf(t.path(tombstoneFile))
	return t
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (t *Tombstones) path(name string) string { return filepath.Join(t.dir, name) }

// Add notes that notifications with these keys were put into the spool.
func (t *Tombstones) Add(keys ...uint64) error { return t.write(tombPut, keys) }

// Withdraw takes back one Add of a key: that notification was not delivered, and never
// will be.
func (t *Tombstones) Withdraw(key uint64) error { return t.write(tombWithdrawn, []uint64{key}) }

func (t *Tombstones) write(kind byte, keys []uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if err := t.prepare(now); err != nil {
		return fmt.Errorf("store: tombstones: %w", err)
	}
	t.buffer = t.buffer[:0]
	if now.Sub(t.clock).Abs() >= clockInterval {
		t.clock = now
		t.buffer = appendTombstone(t.buffer, tombClock, uint64(now.UnixMilli()))
	}
	for _, key := range keys {
		t.buffer = appendTombstone(t.buffer, kind, key)
	}
	n, err := t.file.Write(t.buffer)
	t.latest = now
	if t.size += int64(n); err != nil {
		// A record that was written in part would shift all records after it.
		t.size -= t.size % tombstoneSize
		err = errors.Join(err, t.file.Truncate(t.size))
		return fmt.Errorf("store: tombstones: %w", err)
	}
	return nil
}

func appendTombstone(b []byte, kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, kind), n)
}

// prepare opens the file, and begins a new one if it is full or too old.
func (t *Tombstones) prepare(now time.Time) (err error) {
	if t.file != nil && (t.size >= t.limit || now.Sub(t.began) >= t.age) {
		t.file.Close()
		t.file = nil
		if err := os.Rename(t.path(tombstoneFile), t.path(tombstonesBefore)); err != nil {
			return err
		}
		t.before = t.size
	}
	if t.file != nil {
		return nil
	}
	if t.file, err = os.OpenFile(t.path(tombstoneFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	t.size, t.began, t.clock = info.Size()-info.Size()%tombstoneSize, now, time.Time{}
	return t.file.Truncate(t.size)
}

// Load gives the keys, and how often each was added and not withdrawn. It leaves out keys
// that are older than tombstones may be, counted back from the last record: the time in
// which no process was running does not count.
func (t *Tombstones) Load() (map[uint64]int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []byte
	for _, name := range []string{tombstonesBefore, tombstoneFile} {
		b, err := os.ReadFile(t.path(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("store: tombstones: %w", err)
		}
		all = append(all, b[:len(b)-len(b)%tombstoneSize]...)
	}
	oldest, first := int64(0), 0
	for i := 0; i < len(all); i += tombstoneSize {
		if all[i] == tombClock {
			oldest = int64(u64(all[i+1:])) - t.age.Milliseconds()
		}
	}
	for i := 0; i < len(all); i += tombstoneSize {
		if all[i] == tombClock && int64(u64(all[i+1:])) >= oldest {
			first = i
			break
		}
	}
	keys := make(map[uint64]int, (len(all)-first)/tombstoneSize)
	for i := first; i < len(all); i += tombstoneSize {
		switch key := u64(all[i+1:]); {
		case all[i] == tombPut:
			keys[key]++
		case all[i] == tombWithdrawn && keys[key] > 1:
			keys[key]--
		case all[i] == tombWithdrawn:
			delete(keys, key)
		}
	}
	return keys, nil
}

// Tidy forgets all tombstones if the latest is too old to be of use.
func (t *Tombstones) Tidy() error {
	t.mu.Lock()
	idle := t.size+t.before > 0 && t.now().Sub(t.latest) >= t.age
	t.mu.Unlock()
	if !idle {
		return nil
	}
	return t.Clear()
}

// Clear forgets all tombstones, after an orderly shutdown.
func (t *Tombstones) Clear() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.close()
	for _, name := range []string{tombstoneFile, tombstonesBefore} {
		if failed := os.Remove(t.path(name)); failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	t.size, t.before = 0, 0
	return err
}

// Bytes is what tombstones take on disk.
func (t *Tombstones) Bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size + t.before
}

// end closes the file, and keeps what was written.
func (t *Tombstones) end() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.close()
}

// close closes the file. The caller holds t.mu.
func (t *Tombstones) close() (err error) {
	if t.file != nil {
		err = t.file.Close()
		t.file = nil
	}
	return err
}
