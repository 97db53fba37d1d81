package servertest

import (
	"bytes"
	"sync"
)

// Buffer is a log that is read while it is written.
type Buffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	start int // of what String gives
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// Reset lets String begin with what is written from now on.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.start = b.buf.Len()
}

// String is what was written since Reset.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()[b.start:]
}

// Whole is the log from its beginning.
func (b *Buffer) Whole() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
