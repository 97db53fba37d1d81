package endtoend

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"apnsbridge/cmd/apnsbridge/servertest"
)

var update = flag.Bool("update", false, "write the picture of the page anew")

// A visitor of the demo's page takes part, and then watches the story.
func TestStoryPage(t *testing.T) {
	t.Parallel()
	page := prints(t, `On (http://\S+/) you can take part`, "demo", "--stay")
	b := openBrowser(t)

	phone := func(name string) string { return `article[data-phone="` + name + `"]` }
	// In one step, for the page may replace the button at any time.
	click := func(within, do string) chromedp.Action {
		return chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q).click()", within+` button[value="`+do+`"]`), nil)
	}
	token := func(name string) string {
		t.Helper()
		var token string
		b.do(chromedp.Evaluate(fmt.Sprintf("[...document.querySelectorAll('#tokens option')].find(o => o.text === %q).value",
			name), &token))
		return token
	}
	send := func(to, text string) {
		t.Helper()
		b.do(chromedp.SetValue(`.send [name="token"]`, to, chromedp.ByQuery),
			chromedp.SetValue(`.send [name="payload"]`, `{"aps":{"alert":"`+text+`","badge":3}}`, chromedp.ByQuery),
			click(".send", "send"))
	}

	b.do(chromedp.Navigate(page[1]))
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
	send(token(carla), "Lunch, Carla?")
	b.shows("#asked", "Lunch, Carla?")
	send(token(carla), "Dinner, Carla?")
	b.shows("#asked", "Dinner, Carla?")
	b.do(click(phone(carla), "on"))
	b.shows(phone(carla)+" .banners", "Dinner, Carla? kept by APNs")

	b.do(click(".send", "bad"))
	b.shows("#answers", "status 8 (invalid token)")

	b.do(click("#outage", "cut"))
	b.shows("#outage", "out of order")
	send(token(carla), "Late, Carla, not lost")
	b.shows("#asked", "Late, Carla, not lost")
	b.do(click("#outage", "restore"))
	b.shows(phone(carla)+" .banners", "Late, Carla, not lost")

	b.do(click(phone(carla), "uninstall"))
	b.shows(phone(carla), "not installed")
	send(token(carla), "Are you there?")
	b.shows("#asked", "410 Unregistered")
	// It takes a moment until the gateway has recorded the answer.
	forgets := func() (times int) { // the story has told it before
		b.do(chromedp.Evaluate(`document.querySelector("#answers").innerText.split("forgets the token").length`, &times))
		return times
	}
	before := forgets()
	servertest.WaitFor(t, "feedback tells of the token", func() bool {
		b.do(click(".send", "feedback"))
		return forgets() > before
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
		b.do(chromedp.Reload()) // without what was tried in its forms
		b.shows(phone("Ben's tablet")+" .banners", "Late, not lost")
		b.picture("../docs/story.png", 1280, 1180)
	}
}
