package tombstones

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// yard is a store of tombstones in memory.
type yard struct {
	left          map[uint64]int
	broken        bool
	tidied, clear int
}

func (y *yard) Add(keys ...uint64) error {
	for _, key := range keys {
		y.left[key]++
	}
	return nil
}

func (y *yard) Load() (map[uint64]int, error) {
	if y.broken {
		return nil, errors.New("it cannot be read")
	}
	return maps.Clone(y.left), nil
}

func (y *yard) Withdraw(key uint64) error { y.left[key]--; return nil }
func (y *yard) Tidy() error               { y.tidied++; return nil }
func (y *yard) Clear() error              { y.clear++; y.left = map[uint64]int{}; return nil }

// What the run before had put into the spool is recognised as often as it had, for as long
// as life, and not what this run puts there.
func TestTook(t *testing.T) {
	const life = time.Hour
	start := time.Unix(1_800_000_000, 0)
	twice, once, never := Key("mail", "pin", 1, []byte("a"), []byte("b")),
		Key("mail", "pin", 2, []byte("a"), []byte("b")), uint64(7)
	for name, c := range map[string]struct {
		store *yard
		after time.Duration
		took  map[uint64]int
	}{
		"at once":           {&yard{left: map[uint64]int{twice: 2, once: 1}}, 0, map[uint64]int{twice: 2, once: 1, never: 0}},
		"a moment too late": {&yard{left: map[uint64]int{twice: 2}}, life, map[uint64]int{twice: 0}},
		"just in time":      {&yard{left: map[uint64]int{twice: 2}}, life - 1, map[uint64]int{twice: 2}},
		"an end in order":   {&yard{left: map[uint64]int{}}, 0, map[uint64]int{twice: 0}},
		"it cannot be read": {&yard{broken: true}, 0, map[uint64]int{twice: 0}},
		"there is no spool": {nil, 0, map[uint64]int{twice: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			var s Store
			if c.store != nil {
				s = c.store
			}
			n := New(s, life, start, zerolog.Nop())
			if n.Tick(start.Add(c.after)); c.store != nil && c.after > tidyInterval && c.store.tidied != 1 {
				t.Error("it is not tidied")
			}
			for key, want := range c.took {
				for i := range 3 {
					if n.Took(key) != (i < want) {
						t.Errorf("%d: the %d. time it is taken for what it is not", key, i+1)
					}
				}
			}
			if n.Written() != (c.store != nil) {
				t.Error("it is not known whether there is a store")
			}
			if n.End(); c.store != nil && c.store.clear != 1 {
				t.Error("nothing is cleared")
			}
		})
	}
}

// An end in order forgets what the run itself has put, and keeps what is left of the run
// that had crashed before.
func TestEndKeepsWhatACrashLeft(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	y := &yard{left: map[uint64]int{1: 2, 2: 1, 3: 1}}
	n := New(y, time.Hour, start, zerolog.Nop())
	if !n.Took(1) || !n.Took(2) {
		t.Fatal("what had been put is not recognised")
	}
	n.Add(4)
	if n.End(); !maps.Equal(y.left, map[uint64]int{1: 1, 3: 1}) {
		t.Errorf("%v is kept", y.left)
	}
	next := New(y, time.Hour, start.Add(time.Minute), zerolog.Nop())
	if !next.Took(1) || next.Took(1) || next.Took(2) || !next.Took(3) || next.Took(4) {
		t.Error("the next run does not recognise what is left")
	}
}

// Whatever of a frame differs, it is another one.
func TestKey(t *testing.T) {
	seen := map[uint64]bool{}
	for _, key := range []uint64{
		Key("mail", "pin", 1, []byte("ab"), []byte("c")), Key("mai", "lpin", 1, []byte("ab"), []byte("c")),
		Key("mail", "pi", 1, []byte("ab"), []byte("c")), Key("mail", "pin", 2, []byte("ab"), []byte("c")),
		Key("mail", "pin", 1, []byte("a"), []byte("bc")), Key("mail", "pin", 1, []byte("ab"), []byte("d")),
	} {
		if seen[key] {
			t.Errorf("%x stands for two", key)
		}
		seen[key] = true
	}
}
