package boltstore

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	brokenName = "broken"
	brokenMax  = 4 << 20 // bytes of that file
)

// foundBroken counts a record that cannot be read, and keeps its bytes.
func (s *LineSpool) foundBroken(b []byte) {
	s.mu.Lock()
	s.broken++
	s.mu.Unlock()
	s.quarantine(b)
}

// quarantine keeps bytes for the operator, as far as there is room. What goes wrong
// with that harms nothing.
func (s *LineSpool) quarantine(b []byte) {
	f, err := os.OpenFile(s.path(brokenName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size()+int64(len(b)) <= brokenMax {
		f.Write(b)
	}
}

// foundHoles counts what is none of the frames of a segment, if it is new, and keeps
// the bytes. The caller has s.mu, or is alone.
func (s *LineSpool) foundHoles(g *segment, holes []gap) {
	if len(holes) <= g.holes {
		return
	}
	f, err := os.Open(g.path)
	if err != nil {
		return
	}
	defer f.Close()
	for _, hole := range holes[g.holes:] {
		s.broken++
		b, _ := io.ReadAll(io.NewSectionReader(f, hole.at, min(hole.size, brokenMax)))
		s.quarantine(b)
	}
	g.holes = len(holes)
}

// waitingName is the file that says what waits, for those who look while the spool
// is open.
const waitingName = "waiting"

const tellWait = time.Second // between two times that it is written

// tell writes it, at most once a second. What goes wrong with that harms nothing.
func (s *LineSpool) tell() {
	now := s.now()
	if now.Sub(s.told) < tellWait && !now.Before(s.told) {
		return
	}
	s.told = now
	b, err := json.Marshal(s.Stats())
	if err == nil {
		err = os.WriteFile(s.path(waitingName+newEnd), b, 0o600)
	}
	if err == nil {
		os.Rename(s.path(waitingName+newEnd), s.path(waitingName))
	}
}

// reason is what an error of the file system says, in words for the operator.
func reason(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
