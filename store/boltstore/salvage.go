package boltstore

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"apnsbridge/store"
)

// Salvaged says what Salvage found.
type Salvaged struct {
	Records  int // that were given
	Doubtful int // of these, that may have been done
	Done     int // that were done, and so not given
	Lost     int // that are known to have been there and are damaged
	Heads    int // blobs of which only the beginning can be recognised: 1 to 1,024 records each
	Unread   int // pages that the disk does not give

	Broken bool // the tree cannot be read in full: more may have been there than is known
}

// SalvagedRecord is what Salvage gives.
type SalvagedRecord struct {
	Queue string
	store.SpoolRecord
	Doubtful bool // it may have been done: where the file would say so cannot be read
}

// salvageBlobs is how many blobs are held in memory at a time. More of them take
// another pass over the file.
const salvageBlobs = 20_000

// Salvage calls fn for each record of the spool file at path, damaged or not, that
// is as it was written and is not known to be done: those of a queue in their
// order, whatever the order of queues. A record is borrowed until fn returns. An
// error of fn ends it. The file is only read, and not by bbolt. What memory it
// takes does not depend on what is in it.
func Salvage(path string, fn func(SalvagedRecord) error) (Salvaged, error) {
	return salvageBy(path, salvageBlobs, fn)
}

// salvageBy is Salvage with limit blobs in memory at a time.
func salvageBy(path string, limit int, fn func(SalvagedRecord) error) (Salvaged, error) {
	f, err := os.Open(path)
	if err != nil {
		return Salvaged{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Salvaged{}, err
	}
	if !info.Mode().IsRegular() {
		return Salvaged{}, fmt.Errorf("%s is not a file", path)
	}
	s := &salvage{scan: newScan(f, info.Size()), limit: limit, fn: fn, oldest: make(map[string]uint64)}
	if err := s.survey(); err != nil {
		return s.result, err
	}
	if !s.ours {
		return s.result, notASpool(f, path)
	}
	for more := true; more; {
		if more, err = s.pass(); err != nil {
			return s.result, err
		}
	}
	return s.result, nil
}

// notASpool says what a file is in which there is nothing of a spool.
func notASpool(f *os.File, path string) error {
	start := make([]byte, 1<<16)
	n, _ := f.ReadAt(start, 0)
	if start = start[:n]; strings.HasPrefix(filepath.Base(path), fileName) || bytes.Contains(start, []byte("feedback")) && bytes.Contains(start, []byte("given")) {
		return fmt.Errorf("%s has lists of dead devices and no notifications: it cannot be imported, and need not be, since APNs tells of a dead device at the next push to it", path)
	}
	return fmt.Errorf("%s has no notification that can be recognised", path)
}

// salvage is one Salvage.
type salvage struct {
	*scan
	limit  int // blobs in memory
	fn     func(SalvagedRecord) error
	result Salvaged
	ours   bool              // something of a spool was found
	oldest map[string]uint64 // by queue: no blob that may be there has a lower number
	after  uint64            // the number of the last blob that was given
	blob   []byte            // memory for a blob
}

// candidate is a blob that may be given.
type candidate struct {
	at   int64
	put  uint64
	fate fate
	done []byte // a bitmap as in the file; nil: none was found
	sure bool   // that is all that is done
}

// survey looks through the file for what each pass must know.
func (s *salvage) survey() (err error) {
	s.result.Unread, err = s.each(func(f found) error {
		switch {
		case f.head != nil:
			s.ours = true
			queue := string(f.head.queue)
			s.oldest[queue] = max(s.oldest[queue], f.head.oldest)
		case f.lost:
			s.ours = true
			s.result.Heads++
		case f.bitmap != nil:
			s.ours = true
		}
		return nil
	})
	s.result.Broken = !s.certain()
	return err
}

// pass gives the blobs with the lowest numbers that were not given yet. more says
// that there may be others.
func (s *salvage) pass() (more bool, err error) {
	candidates := make(map[uint64]*candidate)
	highest := ^uint64(0) // what is above is for another pass
	at := func(number uint64) *candidate {
		if number <= s.after || number > highest {
			return nil
		}
		c := candidates[number]
		if c == nil {
			c = new(candidate)
			candidates[number] = c
		}
		return c
	}
	if _, err := s.each(func(f found) error {
		switch {
		case f.head != nil && s.mayBeThere(f):
			if c := at(f.head.number); c != nil {
				c.offer(f)
			}
		case f.bitmap != nil:
			if c := at(bitmapNumber(f.bitmap)); c != nil {
				c.addDone(f)
			}
		}
		if len(candidates) > 2*s.limit {
			more = true
			highest = s.thin(candidates)
		}
		return nil
	}); err != nil {
		return false, err
	}
	if len(candidates) > s.limit {
		more = true
		s.thin(candidates)
	}
	for _, number := range slices.Sorted(maps.Keys(candidates)) {
		s.after = number
		if c := candidates[number]; c.fate != gone {
			if err := s.give(c, number); err != nil {
				return false, err
			}
		}
	}
	return more, nil
}

// thin leaves the lowest numbers, and says which of them is the highest.
func (s *salvage) thin(candidates map[uint64]*candidate) (highest uint64) {
	all := slices.Sorted(maps.Keys(candidates))
	for _, number := range all[s.limit:] {
		delete(candidates, number)
	}
	return all[s.limit-1]
}

// mayBeThere says whether a blob is not known to have ended.
func (s *salvage) mayBeThere(f found) bool {
	return f.fate == there || f.fate == maybe && f.head.number >= s.oldest[string(f.head.queue)]
}

// offer takes a blob that has the candidate's number, if there is no better. Of
// two there is one that was never committed.
func (c *candidate) offer(f found) {
	if f.fate > c.fate || f.fate == c.fate && f.head.put > c.put {
		c.at, c.put, c.fate = f.at, f.head.put, f.fate
	}
}

// addDone takes a bitmap: an older one says no more than a later one.
func (c *candidate) addDone(f found) {
	c.sure = c.sure || f.fate == there
	if len(c.done) != len(f.bitmap) {
		c.done = bytes.Clone(f.bitmap)
		return
	}
	for i := bitmapHead; i < len(c.done); i++ {
		c.done[i] |= f.bitmap[i]
	}
	sum(c.done)
}

// give gives the records of a candidate.
func (s *salvage) give(c *candidate, number uint64) error {
	if s.blob == nil {
		s.blob = make([]byte, maxBlob)
	}
	b := s.blob[:min(maxBlob, s.size-c.at)]
	if err := readAll(s.from, b, c.at); err != nil {
		// A page cannot be read: what stands before and behind it can.
		for at := int64(0); at < int64(len(b)); at += s.pageSize {
			part := b[at:min(at+s.pageSize, int64(len(b)))]
			if err := readAll(s.from, part, c.at+at); err != nil {
				clear(part)
			}
		}
	}
	h, err := readHead(b)
	if err != nil {
		s.result.Heads++
		return nil
	}
	if h.size > len(b) { // the file was cut within it
		clear(s.blob[len(b):])
		b = s.blob[:h.size]
	}
	done := make(bitmap, words(h.count))
	if readBitmap(c.done, number, h.count, done) != nil {
		clear(done)
	}
	doubtful := c.fate == maybe || !c.sure && !s.certain()
	var memory []byte
	for i, r := range h.records(b) {
		switch {
		case done.has(i) || h.emptied(i):
			s.result.Done++
		case !r.whole():
			if c.fate == there {
				s.result.Lost++
			}
		default:
			var record store.SpoolRecord
			memory, record = r.copyTo(memory[:0], recordID(number, i))
			if err := s.fn(SalvagedRecord{string(h.queue), record, doubtful}); err != nil {
				return err
			}
			s.result.Records++
			if doubtful {
				s.result.Doubtful++
			}
		}
	}
	return nil
}
