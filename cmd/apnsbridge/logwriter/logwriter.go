// Package logwriter is what the gateway's log is written to: it holds up nothing that
// logs, however its reader behaves, and keeps the log to a rate.
package logwriter

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/pace"
	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/gateway/identity"
)

const (
	queueBytes = 1 << 20  // bytes of lines that wait to be written
	lineBytes  = 4 << 10  // of a line; an error, which an operator causes, may be longer
	errorBytes = 64 << 10 // of an error's
	tellGaps   = 10 * time.Second
)

// Writer takes the lines of a log. It never blocks whoever logs, and nothing
// that becomes of its reader ends the process: lines wait in bounded memory, and
// those for which there is no room are dropped and counted. Lines below an
// error, which others can cause, have a rate in bytes; errors have another one.
type Writer struct {
	out io.Writer
	now func() time.Time

	mu      sync.Mutex
	changed *sync.Cond
	queue   [][]byte
	queued  int       // bytes in queue
	writing time.Time // since when out has a line; zero: it has none
	closed  bool
	paces   [2]pace.Pace // bytes below an error, and of errors
	stats   metrics.Log
	lost    time.Time // when a line was dropped last
	untold  uint64
	told    time.Time
}

// New writes to out, at most so many bytes a second, and four seconds' worth
// at once.
func New(out io.Writer, rate int64) *Writer {
	most := max(4*rate, errorBytes)
	p := pace.New(pace.Rate{Count: int(most), Per: time.Duration(float64(most) / float64(rate) * float64(time.Second))})
	w := &Writer{out: out, now: time.Now, paces: [2]pace.Pace{p, p}}
	w.changed = sync.NewCond(&w.mu)
	go w.write()
	return w
}

// Write takes a line of no level.
func (w *Writer) Write(line []byte) (int, error) { return w.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel takes a line, or counts it. It copies line, and never fails.
func (w *Writer) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	n, most, kind := len(line), lineBytes, 0
	if level >= zerolog.ErrorLevel && level < zerolog.NoLevel {
		most, kind = errorBytes, 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(line) > most {
		w.stats.Cut++
		line = fmt.Appendf(nil, "{\"level\":%q,\"bytes\":%d,\"begins\":%q,\"message\":\"a line was too long for "+
			"the log\"}\n",
			level.String(), len(line), identity.Clip(string(line[:most])))
	}
	switch now := w.now(); {
	case w.closed:
	case !w.paces[kind].Room(len(line), now):
		w.stats.OverRate++
		w.untold++
	case w.queued+len(line) > queueBytes:
		w.drop(now)
	default:
		w.paces[kind].Take(len(line), now)
		w.push(bytes.Clone(line))
	}
	return n, nil
}

func (w *Writer) push(line []byte) {
	w.queue = append(w.queue, line)
	w.queued += len(line)
	w.changed.Broadcast()
}

func (w *Writer) drop(now time.Time) {
	w.stats.Dropped++
	w.untold++
	w.lost = now
}

// write writes line by line. Out may hold it up for ever.
func (w *Writer) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.queue) == 0 {
			if w.closed {
				return
			}
			w.changed.Wait()
		}
		line := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		w.queued -= len(line)
		w.writing = w.now()
		w.mu.Unlock()
		_, err := w.out.Write(line)
		w.mu.Lock()
		w.writing = time.Time{}
		now := w.now()
		if err != nil {
			w.drop(now)
		} else {
			w.stats.Lines++
			w.stats.Bytes += uint64(len(line))
			w.tell(now)
		}
		w.changed.Broadcast()
	}
}

// tell says in the log itself that lines are missing from it.
func (w *Writer) tell(now time.Time) {
	if w.untold == 0 || now.Sub(w.told) < tellGaps || w.closed {
		return
	}
	w.push(fmt.Appendf(nil, "{\"level\":\"warn\",\"missing\":%d,\"time\":%q,\"message\":\"lines are missing from "+
		"this log\"}\n",
		w.untold, now.Format(time.RFC3339)))
	w.untold, w.told = 0, now
}

// Figures are the log's as they are now; none without a Writer.
func (w *Writer) Figures() metrics.Log {
	if w == nil {
		return metrics.Log{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Queued = w.queued
	return w.stats
}

// Trouble is a sentence about what keeps the log from being read, "" for nothing.
func (w *Writer) Trouble() string {
	if w == nil { // a demo or a test writes its log itself
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	const long = 2 * time.Second
	now := w.now()
	switch {
	case !w.writing.IsZero() && now.Sub(w.writing) > long:
		return fmt.Sprintf("the log is not read: a line has waited for %d s, and %d were dropped",
			int(now.Sub(w.writing).Seconds()), w.stats.Dropped)
	case !w.lost.IsZero() && now.Sub(w.lost) < time.Minute:
		return fmt.Sprintf("the log cannot be written: %d lines were dropped", w.stats.Dropped)
	}
	return ""
}

// Close waits until all lines are written, and no longer than patience.
func (w *Writer) Close(patience time.Duration) {
	late := time.AfterFunc(patience, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.queue, w.queued = nil, 0
		w.closed = true
		w.changed.Broadcast()
	})
	defer late.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed && (len(w.queue) > 0 || !w.writing.IsZero()) {
		w.changed.Wait()
	}
	w.closed = true
	w.changed.Broadcast()
}
