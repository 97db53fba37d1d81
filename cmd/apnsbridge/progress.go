package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
)

// progress is one line that is written over and over, on a terminal only: how
// many are sent, of how many, how fast, how many were refused, and how long it
// will take.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress makes the line for so many; 0 is for an unknown number.
func newProgress(to io.Writer, total int) *progress {
	if file, ok := to.(*os.File); !ok || !isatty.IsTerminal(file.Fd()) {
		return &progress{}
	}
	if total == 0 {
		total = -1
	}
	return &progress{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(to), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetDescription("sent"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("push"),
		progressbar.OptionUseANSICodes(true), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth(),
	)}
}

func (p *progress) show(sent, refused int) {
	if p.bar == nil {
		return
	}
	if refused > 0 {
		p.bar.Describe(fmt.Sprintf("sent, %d refused", refused))
	}
	p.bar.Set(sent) // what a terminal does not take is no loss
}

// clear makes room for something that stays.
func (p *progress) clear() {
	if p.bar != nil {
		p.bar.Clear()
	}
}
