package lane

import (
	"bytes"
	"testing"
	"unsafe"
)

// An entry that is reused for one device after another has the token of the last, of whatever size.
func TestDeviceToken(t *testing.T) {
	var d deviceToken
	for _, size := range []int{32, 1, 32, 100, 31, 33, 0, 32} {
		token := bytes.Repeat([]byte{byte(size + 1)}, size)
		d.set(token)
		if got := d.bytes(); !bytes.Equal(got, token) {
			t.Errorf("of %d bytes: %x", size, got)
		}
	}
}

// An entry takes two cache lines: one is looked up for each notification on its way, and these are
// more than the processor's caches have room for.
func TestDeviceSize(t *testing.T) {
	if at := unsafe.Offsetof(device{}.token); at > 64 {
		t.Errorf("what comes before a device's token has %d bytes, want a cache line at most", at)
	}
	if size := unsafe.Sizeof(device{}); size > 128 {
		t.Errorf("it has %d bytes", size)
	}
}
