package servertest

import (
	"bytes"
	"sync"
)

// Buffer is a log that can be read while it is written.
type Buffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	start int // of what String returns
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// Reset makes String begin with what is written from now on.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.start = b.buf.Len()
}

// String returns what was written since Reset.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()[b.start:]
}

// Whole returns the log from its beginning.
func (b *Buffer) Whole() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
