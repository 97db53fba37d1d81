package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"apnsbridge/store/boltstore/boltfile"
)

// A place in the queue is the lock of a file with its number; turnName is the file whose lock
// has whoever looks for the end of the queue.
const (
	turnName  = "turn.lock"
	placeName = "turn-%d.lock"
)

// Turn is a place in the queue of processes that wait for the store. So one that has waited
// before others has it before them, whoever happens to look first.
type Turn struct {
	dir    string
	number int
	file   *os.File // nil: it could not be written down, as in a directory that is of no use
}

// QueueUp takes the last place in the queue for the store in dir.
func QueueUp(dir string) *Turn {
	t := &Turn{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return t
	}
	end, err := boltfile.Hold(filepath.Join(dir, turnName))
	if err != nil {
		return t
	}
	defer end.Close()
	for _, n := range t.queue() {
		t.number = max(t.number, n)
	}
	t.number++
	t.file, _ = boltfile.Hold(t.place(t.number))
	return t
}

// Wait waits a moment until all that came before have the store, or have gone. If they have
// not, the error is ErrInUse.
func (t *Turn) Wait() error {
	for _, n := range t.queue() {
		if n >= t.number {
			continue
		}
		switch file, err := boltfile.Hold(t.place(n)); {
		case err == nil: // a process that was killed has left it
			os.Remove(file.Name())
			file.Close()
		case errors.Is(err, ErrInUse):
			return fmt.Errorf("%s is %w, and awaited by others: stop these, or give this one its own store.path", t.dir, ErrInUse)
		}
	}
	return nil
}

// End leaves the queue.
func (t *Turn) End() {
	if t.file != nil {
		os.Remove(t.file.Name())
		t.file.Close()
	}
}

func (t *Turn) place(number int) string { return filepath.Join(t.dir, fmt.Sprintf(placeName, number)) }

// queue gives the numbers of the places.
func (t *Turn) queue() (numbers []int) {
	entries, _ := os.ReadDir(t.dir)
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), placeName, &n); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}
