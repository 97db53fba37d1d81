package boltstore

import (
	"errors"
	"path/filepath"
	"testing"
)

// Of those that wait for the store the one that came first is next, whatever the order in which
// they look. One that was killed keeps no other waiting.
func TestTurns(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	var turns []*Turn
	for range 4 {
		turns = append(turns, QueueUp(dir))
	}
	waits := func(i int, want error) {
		t.Helper()
		if err := turns[i].Wait(); !errors.Is(err, want) {
			t.Errorf("number %d: got %v, want %v", i, err, want)
		}
	}
	waits(3, ErrInUse)
	waits(1, ErrInUse)
	waits(0, nil)
	turns[1].file.Close() // killed
	turns[0].End()
	waits(3, ErrInUse)
	waits(2, nil)
	turns = append(turns, QueueUp(dir))
	turns[2].End()
	waits(4, ErrInUse)
	waits(3, nil)
	turns[3].End()
	waits(4, nil)
	if left, err := filepath.Glob(filepath.Join(dir, "turn-*")); err != nil || len(left) != 1 {
		t.Errorf("%v are left, error %v, want the last one's place", left, err)
	}
	turns[4].End()
}

// Where no place can be written down it is not waited for: opening the store says what is wrong.
func TestTurnNowhere(t *testing.T) {
	turn := QueueUp("/proc/none")
	defer turn.End()
	if err := turn.Wait(); err != nil {
		t.Error(err)
	}
}
