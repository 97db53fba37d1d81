package endtoend

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// browser is a Chromium of the test's own. It fails the test for every error that the
// page writes to the console.
type browser struct {
	t       *testing.T
	ctx     context.Context
	expects string // what it may complain of, and has to: part of each such text
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium here")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(servertest.Patience), chromedp.Flag("hide-scrollbars", true))
	// The test's own context ends before Chromium can be closed in an orderly way.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("chromium: %v", err)
		}
		cancel()
	})
	b := &browser{t: t, ctx: ctx}
	var mu sync.Mutex
	var complaints []string
	complain := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		complaints = append(complaints, text)
	}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			complain(e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
				complain(e.Entry.Text + " " + e.Entry.URL)
			}
		}
	})
	b.do(log.Enable())
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		all := len(complaints)
		complaints = slices.DeleteFunc(complaints, func(text string) bool {
			return b.expects != "" && strings.Contains(text, b.expects)
		})
		if b.expects != "" && len(complaints) == all {
			t.Errorf("the console does not say %s", b.expects)
		}
		if len(complaints) > 0 {
			t.Errorf("the console says:\n%s", strings.Join(complaints, "\n"))
		}
	})
	return b
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// follow does something that leads to another page, and waits for that page.
func (b *browser) follow(action chromedp.Action) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, action); err != nil {
		b.t.Fatal(err)
	}
}

// until waits until a condition in JavaScript holds.
func (b *browser) until(what, condition string) {
	b.t.Helper()
	err := chromedp.Run(b.ctx, chromedp.Poll(condition, nil, chromedp.WithPollingInterval(20*time.Millisecond),
		chromedp.WithPollingTimeout(time.Minute)))
	if err != nil {
		var text string
		chromedp.Run(b.ctx, chromedp.Evaluate("document.body.innerText", &text))
		b.t.Fatalf("%s: %v\n%s", what, err, text)
	}
}

// shows waits for a text within an element.
func (b *browser) shows(selector, text string) {
	b.t.Helper()
	b.until(selector+" shows "+text, fmt.Sprintf("[...document.querySelectorAll(%q)].some(e => e.innerText.includes(%q))",
		selector, text))
}

// fits looks at the page in each width, light and dark: nothing may stick out sideways. Screenshots
// go where `go test -artifacts` puts them.
func (b *browser) fits(name string, widths ...int64) {
	b.t.Helper()
	for _, scheme := range []string{"dark", "light"} { // it stays light
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme",
			Value: scheme}}))
		for _, width := range widths {
			var over int64
			var picture []byte
			b.do(emulation.SetDeviceMetricsOverride(width, 900, 1, width < 700),
				chromedp.Evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth", &over),
				chromedp.FullScreenshot(&picture, 100))
			if over > 0 {
				b.t.Errorf("%s: %d pixels stand out sideways at %d", name, over, width)
			}
			path := filepath.Join(b.t.ArtifactDir(), fmt.Sprintf("%s-%s-%d.png", name, scheme, width))
			if err := os.WriteFile(path, picture, 0o644); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// picture writes a screenshot of a window of this size.
func (b *browser) picture(path string, width, height int64) {
	b.t.Helper()
	var picture []byte
	b.do(emulation.SetDeviceMetricsOverride(width, height, 1, false), chromedp.CaptureScreenshot(&picture))
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// height is the height of the page in a window of this width.
func (b *browser) height(width int64) (height int64) {
	b.t.Helper()
	b.do(emulation.SetDeviceMetricsOverride(width, 900, 1, width < 700),
		chromedp.Evaluate("document.documentElement.scrollHeight", &height))
	return height
}

// prints starts a command of ours, which ends with the test. It gives the groups of the
// first line printed that matches like.
func prints(t *testing.T, like string, args ...string) []string {
	t.Helper()
	cmd := servertest.Program(t, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, ended := make(chan []string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(found)
		pattern := regexp.MustCompile(like)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if groups := pattern.FindStringSubmatch(lines.Text()); groups != nil && len(found) == 0 {
				found <- groups
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", args[0], err)
		}
	})
	groups, ok := <-found
	if !ok {
		t.Fatalf("%q prints nothing like %s", args, like)
	}
	return groups
}
