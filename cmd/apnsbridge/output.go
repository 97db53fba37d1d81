package main

import "io"

// output is what a command prints to, and whether that could be written: whoever reads a file of
// it must not take half of it for all.
type output struct {
	to  io.Writer
	err error // of the first Write that failed
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (n int, err error) {
	if n, err = o.to.Write(b); err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// Fd is that of the file behind it, by which a terminal is known; of none where it is no file.
func (o *output) Fd() uintptr {
	if file, ok := o.to.(interface{ Fd() uintptr }); ok {
		return file.Fd()
	}
	return ^uintptr(0)
}
