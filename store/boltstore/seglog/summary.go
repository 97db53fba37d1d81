package seglog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"unicode/utf8"
)

// summary is what stands beside a segment that is not appended to any more, so that it
// need not be read when the log is opened: JSON and, in a line of its own, the CRC-32C of
// that in hex. What is not whole is as none: a wrong one would hide what is there.
// That of one that was written anew is made before it, for it alone knows the IDs that
// have left; others do without a sync.
type summary struct {
	Size    int64            // bytes of frames
	Last    uint64           // no ID is higher
	Soonest int64            `json:",omitempty"` // when the first record may expire; 0: none does
	Put     int64            // when the first was put, in seconds since 1970; 0: not known
	Counts  map[string]count // by names; nil: it is to be read: something was done or absent by then, or a name is no text
}

// count is what there is of a name, and not done.
type count struct {
	Records int
	Bytes   int64
}

func readSummary(path string) (of summary, ok bool) {
	b, err := os.ReadFile(beside(path, summaryEnd))
	text, sum, _ := bytes.Cut(b, []byte{'\n'})
	if err != nil || string(sum) != sumOf(text) || json.Unmarshal(text, &of) != nil {
		return summary{}, false
	}
	return of, true
}

func sumOf(text []byte) string { return fmt.Sprintf("%08x\n", crc32.Checksum(text, crcTable)) }

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
		if g.done == nil && len(g.absent) == 0 {
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
	b = append(append(b, '\n'), sumOf(b)...)
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
