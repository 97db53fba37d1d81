package seglog

import (
	"encoding/json"
	"errors"
	"os"
	"unicode/utf8"
)

// summary is what stands beside a segment that is not appended to any more, so that it
// need not be read when the log is opened: JSON, of which what is not whole is as none.
// That of one that was written anew is made before it, for it alone knows the IDs that
// have left; others do without a sync.
type summary struct {
	Size    int64            // bytes of frames
	Last    uint64           // no ID is higher
	Soonest int64            `json:",omitempty"` // when the first record may expire; 0: none does
	Put     int64            // when the first was put, in seconds since 1970; 0: not known
	Counts  map[string]count // by names; nil: it is to be read, for something was done by then, or a name is no text
}

// count is what there is of a name, and not done.
type count struct {
	Records int
	Bytes   int64
}

func readSummary(path string) (of summary, ok bool) {
	b, err := os.ReadFile(beside(path, summaryEnd))
	ok = err == nil && json.Unmarshal(b, &of) == nil
	return of, ok
}

// summarize writes the summaries that are not there. What goes wrong with that costs
// reading a segment.
func (l *Log) summarize() {
	ready := make(map[*segment]summary)
	l.mu.Lock()
	for _, g := range l.segments {
		if g == l.current || g.summarized {
			continue
		}
		of := g.summary
		if g.done == nil {
			of.Counts = make(map[string]count)
			for t, c := range g.counts {
				of.Counts[t.Name] = c
			}
			if !textsOnly(of.Counts) {
				of.Counts = nil
			}
		}
		ready[g] = of
	}
	l.mu.Unlock()
	for g, of := range ready {
		if writeSummary(g.path, of, false) == nil {
			l.mu.Lock()
			g.summarized = true
			l.mu.Unlock()
		}
	}
}

// writeSummary writes that of the segment at path, durably if sync is set.
func writeSummary(path string, of summary, sync bool) error {
	path = beside(path, summaryEnd)
	b, err := json.Marshal(of)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+newEnd, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+newEnd, path)
}

// textsOnly reports whether JSON keeps all names as they are: a topic may be any bytes.
func textsOnly(counts map[string]count) bool {
	for name := range counts {
		if !utf8.ValidString(name) {
			return false
		}
	}
	return true
}
