// Package boltstore keeps on disk, mostly in bbolt files, what the bridge must remember.
//
// Lists and ledger are in feedback.db; what waits for APNs is in the directory spool,
// see Spool. They are apart so that damage to one leaves the other whole. Integers are
// big-endian; times are in milliseconds since 1970 unless another unit is named.
//
// feedback.db:
//
//	meta      version · u32
//	feedback  a bucket for each app, whose sequence is the list's revision:
//	            u64 revision → u64 dead since · u64 listed since · token
//	given     a bucket for each app, with the entries that have been given:
//	            u64 number → u64 dead since · u64 given since · token
//	ledger    key → u64 expires · value
//
// A list is kept like a log: it grows at its end, and is read and forgotten from its
// start, so that few pages are touched however scattered the tokens are. An index in
// memory tells where in the list a token is.
package boltstore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/bridge/defaults"
	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
)

// Options are what can be set. A field that is zero stands for its default, which
// package defaults has.
type Options struct {
	FeedbackEntries int              // of one app, at most
	FeedbackAge     time.Duration    // for how long an entry stays listed
	SpoolBytes      int64            // that the spool may take
	SpoolReserve    int64            // bytes beyond SpoolBytes, for moves within a full spool
	SpoolDevice     int64            // bytes that may be put into one device's queue
	TombstoneAge    time.Duration    // how far back Tombstones go
	Now             func() time.Time // the clock; nil is time.Now
}

func (o *Options) setDefaults() {
	o.FeedbackEntries = cmp.Or(o.FeedbackEntries, defaults.FeedbackEntries)
	o.FeedbackAge = cmp.Or(o.FeedbackAge, defaults.FeedbackAge)
	o.SpoolBytes = cmp.Or(o.SpoolBytes, defaults.SpoolBytes)
	o.SpoolReserve = cmp.Or(o.SpoolReserve, defaults.SpoolReserve)
	o.SpoolDevice = cmp.Or(o.SpoolDevice, o.SpoolBytes/100*defaults.SpoolDeviceShare)
	o.TombstoneAge = cmp.Or(o.TombstoneAge, defaults.LedgerTTL)
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Store is a directory with what must be remembered.
type Store struct {
	dir      string
	now      func() time.Time
	aside    []*boltfile.SetAside
	file     *boltfile.File
	feedback *Feedback
	ledger   *Ledger
	tombs    *Tombstones
	spool    *Spool
}

// Open opens the store in dir, and makes directory and store if there are none. A
// damaged file is set aside under another name, and a new one takes its place. An
// error is a sentence for the operator.
func Open(dir string, o Options) (*Store, error) {
	o.setDefaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(dir, err)
	}
	s := &Store{dir: dir, now: o.Now}
	path, options := filepath.Join(dir, fileName), boltfile.Options{Version: layoutVersion, Now: o.Now}
	file, aside, err := boltfile.Open(path, options, func(tx *bbolt.Tx) error {
		s.feedback, s.ledger = newFeedback(o), &Ledger{now: o.Now}
		for _, prepare := range []func(*bbolt.Tx) error{
			s.feedback.listed.prepare, s.feedback.given.prepare, s.ledger.prepare,
		} {
			if err := prepare(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.file, s.feedback.file, s.ledger.file = file, file, file
	if aside != nil {
		s.aside = append(s.aside, aside)
	}
	if s.spool, err = OpenSpool(dir, o); err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	if s.spool.aside != nil {
		s.aside = append(s.aside, s.spool.aside)
	}
	s.tombs = newTombstones(dir, o)
	return s, nil
}

// SetAside gives the files that were found damaged when the store was opened, and were
// replaced by new ones.
func (s *Store) SetAside() []*boltfile.SetAside { return s.aside }

// SpoolBegins reports whether Open found no spool, or a damaged one.
func (s *Store) SpoolBegins() bool { return s.spool.begins }

// Damaged gives the paths of the files that were set aside at any time and are
// still there.
func (s *Store) Damaged() ([]string, error) {
	paths, err := boltfile.Damaged(s.dir)
	inSpool, failed := boltfile.Damaged(s.spool.dir)
	return append(paths, inSpool...), errors.Join(err, failed)
}

// Close waits for what is being written and closes the store. Later calls get
// store.ErrClosed.
func (s *Store) Close() error {
	return errors.Join(s.spool.Close(), s.tombs.end(), s.file.Close())
}

// Feedback is the store's lists of dead devices.
func (s *Store) Feedback() *Feedback { return s.feedback }

// Tombstones are the store's memory of what was put into the spool lately.
func (s *Store) Tombstones() *Tombstones { return s.tombs }

// Ledger is the store's log of the resend ledger.
func (s *Store) Ledger() *Ledger { return s.ledger }

// Spool is the store's notifications that wait for APNs.
func (s *Store) Spool() *Spool { return s.spool }

// Stats says how the store is doing. Counters start at Open.
type Stats struct {
	FeedbackEntries int    // on the lists of all apps
	FeedbackEvicted uint64 // entries that left a list because it was full
	FeedbackExpired uint64 // entries that left a list because of their age
	Given           int    // entries of all apps that have been given and can be given again
	GivenEvicted    uint64 // given entries that were forgotten because there were too many
	GivenExpired    uint64 // given entries that were forgotten because of their age
	Writes          uint64 // changes made
	Commits         uint64 // transactions that these took
	FileBytes       int64
	TombstoneBytes  int64         // on disk
	DamagedFiles    int           // set aside at any time and still there
	Failing         time.Duration // how long writes of the store, or of its spool, have failed; 0: they do not
	Failures        uint64        // transactions, and writes of the spool, that have failed
	Spool           store.SpoolStats
}

// Stats returns a snapshot.
func (s *Store) Stats() Stats {
	damaged, _ := s.Damaged()
	lasting, failures := s.failures()
	listed, given := s.feedback.listed, s.feedback.given
	return Stats{
		FeedbackEntries: listed.index.Len(),
		FeedbackEvicted: listed.evicted.Load(),
		FeedbackExpired: listed.expired.Load(),
		Given:           given.index.Len(),
		GivenEvicted:    given.evicted.Load(),
		GivenExpired:    given.expired.Load(),
		Writes:          s.file.Writes.Load(),
		Commits:         s.file.Commits.Load(),
		FileBytes:       s.file.Size(),
		TombstoneBytes:  s.tombs.Bytes(),
		DamagedFiles:    len(damaged),
		Failing:         lasting,
		Failures:        failures,
		Spool:           s.spool.Stats(),
	}
}

// failures gives for how long some part of the store could not be written, and how many writes have failed.
func (s *Store) failures() (lasting time.Duration, failures uint64) {
	for _, f := range []*boltfile.Failing{&s.file.Failing, &s.spool.failing, &s.spool.queues.Failing} {
		since, count := f.Figures(s.now())
		lasting, failures = max(lasting, since), failures+count
	}
	return lasting, failures
}

const fileName = "feedback.db"

// layoutVersion is the version of the layout that the package's documentation describes.
const layoutVersion = 1

// ErrInUse says that another process has a file open.
var ErrInUse = boltfile.ErrInUse

// Failing says why the store cannot be written, in words for the operator; nil
// if it can. A store that is full, or was made read-only, comes back by itself.
func (s *Store) Failing() error {
	if err := s.file.Failing.Words(); err != nil {
		return err
	}
	return s.spool.Failing()
}

func u64(b []byte) uint64                 { return binary.BigEndian.Uint64(b) }
func appendU64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }
func millis(t time.Time) uint64           { return uint64(max(0, t.UnixMilli())) }
func fromMillis(v uint64) time.Time       { return time.UnixMilli(int64(v)).UTC() }
