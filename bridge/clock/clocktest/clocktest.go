// Package clocktest sets the wall's time for tests.
package clocktest

import (
	"time"
	"unsafe"
)

// Stepped gives t as it is read behind a step of the wall clock by whole seconds:
// its monotonic reading is as it was. The layout is that of time.Time, which has no
// other way to it; TestStepped notices if it changes.
func Stepped(t time.Time, step time.Duration) time.Time {
	const secondBit = 30 // of the first word, which has the monotonic flag above and nanoseconds below
	words := (*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	words.wall += uint64(int64(step/time.Second)) << secondBit
	return t
}
