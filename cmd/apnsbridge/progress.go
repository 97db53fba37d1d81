package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
)

// progress is one line that is written over and over, on a terminal only.
type progress struct {
	to   io.Writer
	last time.Time
}

func newProgress(to io.Writer) *progress {
	if file, ok := to.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		return &progress{to: to}
	}
	return &progress{to: io.Discard}
}

// show writes the line, some times a second at the most.
func (p *progress) show(format string, args ...any) {
	if now := time.Now(); now.Sub(p.last) > 100*time.Millisecond {
		p.last = now
		fmt.Fprintf(p.to, "\r\x1b[K"+format, args...)
	}
}

// clear makes room for something that stays.
func (p *progress) clear() { fmt.Fprint(p.to, "\r\x1b[K") }
