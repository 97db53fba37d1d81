package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a Chromium of the test's own, which fails the test for whatever the
// page complains of in the console.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium here")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("hide-scrollbars", true))
	// The test's own context ends before Chromium can be closed in good order.
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
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
	b := &browser{t, ctx}
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

// until waits until a condition in JavaScript holds.
func (b *browser) until(what, condition string) {
	b.t.Helper()
	err := chromedp.Run(b.ctx, chromedp.Poll(condition, nil, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(time.Minute)))
	if err != nil {
		var text string
		chromedp.Run(b.ctx, chromedp.Evaluate("document.body.innerText", &text))
		b.t.Fatalf("%s: %v\n%s", what, err, text)
	}
}

// shows waits for a text within an element.
func (b *browser) shows(selector, text string) {
	b.t.Helper()
	b.until(selector+" shows "+text, fmt.Sprintf("[...document.querySelectorAll(%q)].some(e => e.innerText.includes(%q))", selector, text))
}

// fits looks at the page in each width: nothing may stand out sideways. Screenshots
// go where `go test -artifacts` puts them.
func (b *browser) fits(name string, widths ...int64) {
	b.t.Helper()
	for _, width := range widths {
		var over int64
		var picture []byte
		b.do(emulation.SetDeviceMetricsOverride(width, 900, 1, width < 700),
			chromedp.Evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth", &over),
			chromedp.FullScreenshot(&picture, 90))
		if over > 0 {
			b.t.Errorf("%s: %d pixels stand out sideways at %d", name, over, width)
		}
		path := filepath.Join(b.t.ArtifactDir(), fmt.Sprintf("%s-%d.jpg", name, width))
		if err := os.WriteFile(path, picture, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// A visitor of the demo's page takes part, and then has the story told.
func TestStoryPage(t *testing.T) {
	d, err := startDemo(streams{out: &lockedBuffer{}, err: &lockedBuffer{}}, false, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	d.page = "127.0.0.1:0"
	page, err := d.openPage()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { page.Close() })
	b := openBrowser(t) // the first to be closed

	phone := func(name string) string { return `article[data-phone="` + name + `"]` }
	// In one go: the page may put another button in its place at any time.
	click := func(within, do string) chromedp.Action {
		return chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q).click()", within+` button[value="`+do+`"]`), nil)
	}
	token := func(name string) string {
		t.Helper()
		token, err := d.stage.Token(name)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", token)
	}
	send := func(to, text string) {
		t.Helper()
		b.do(chromedp.SetValue(`.send [name="token"]`, to, chromedp.ByQuery),
			chromedp.SetValue(`.send [name="payload"]`, `{"aps":{"alert":"`+text+`","badge":3}}`, chromedp.ByQuery),
			click(".send", "send"))
	}

	b.do(chromedp.Navigate("http://" + page.Addr + "/"))
	const carla = "Carla's phone"
	b.do(chromedp.SetValue(`.new [name="name"]`, carla, chromedp.ByQuery), click(".new", "new"))
	b.shows(phone(carla), "online")
	b.shows("#users", carla)

	sent := time.Now()
	send(token(carla), "Hello, Carla")
	b.shows(phone(carla)+" .banners", "Hello, Carla")
	t.Logf("from the click to the banner: %v", time.Since(sent))
	b.shows("#frames", "payload length")
	b.shows("#asked", "200")

	b.do(click(phone(carla), "off"))
	b.shows(phone(carla), "offline")
	send(token(carla), "Lunch?")
	b.shows("#asked", "Lunch?")
	send(token(carla), "Dinner?")
	b.shows("#asked", "Dinner?")
	b.do(click(phone(carla), "on"))
	b.shows(phone(carla)+" .banners", "Dinner? kept by APNs")

	b.do(click(".send", "bad"))
	b.shows("#answers", "status 8 (invalid token)")

	b.do(click("#outage", "cut"))
	b.shows("#outage", "out of order")
	send(token(carla), "Late, not lost")
	b.shows("#asked", "503")
	b.do(click("#outage", "restore"))
	b.shows(phone(carla)+" .banners", "Late, not lost")

	b.do(click(phone(carla), "uninstall"))
	b.shows(phone(carla), "not installed")
	send(token(carla), "Are you there?")
	b.shows("#asked", "410 Unregistered")
	// Until the gateway has written the answer down is a moment.
	waitFor(t, "feedback tells of the token", func() bool {
		var told bool
		b.do(click(".send", "feedback"),
			chromedp.Evaluate(`document.querySelector("#answers").innerText.includes("forgets the token")`, &told))
		return told
	})
	b.until("the provider has forgotten", fmt.Sprintf("!document.querySelector('#users').innerText.includes(%q)", carla))
	b.do(click(phone(carla), "install"))
	b.shows("#users", carla)
	b.do(click(phone(carla), "erase"))
	b.shows(phone(carla), "not installed")

	send("bad", "no token")
	b.shows("[role=alert]", "not hexadecimal")
	b.do(click("#teller", "play"))
	b.shows(".chapter", "of 10")
	b.shows("#teller", "Tell the story")
	b.until("the story has been told to its end", "document.querySelector('[role=alert]') === null")
	b.shows(phone("Ben's tablet")+" .banners", "Late, not lost")
	b.fits("story", 390, 768, 1280)
	if *update {
		b.picture("../../docs/story.png", 1280, 1180)
	}
}

// picture writes what a window of this size shows.
func (b *browser) picture(path string, width, height int64) {
	b.t.Helper()
	var picture []byte
	b.do(emulation.SetDeviceMetricsOverride(width, height, 1, false), chromedp.CaptureScreenshot(&picture))
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
