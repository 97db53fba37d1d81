package endtoend

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// In an operator's browser the plots move under load, a button leads back to the app's page,
// and nothing sticks out sideways.
func TestOperatorPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	b := openBrowser(t)
	b.do(chromedp.Navigate("http://" + w.Admin + "/"))
	b.shows("#remarks", "To see to")
	modern := w.ClientTLS()
	modern.MaxVersion = tls.VersionTLS13
	conn := w.Dial(modern)
	send := func(from, count int) {
		t.Helper()
		for i := from; i < from+count; i++ {
			if _, err := conn.Write(servertest.Enhanced(fmt.Sprintf("%064x", i), i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(1, 2000)
	b.until("the plots have something to show", "document.querySelectorAll('#plots polygon').length >= 2")
	b.shows("#plots", "TLS 1.3")
	b.do(chromedp.Evaluate("window.before = document.querySelector('#plots').innerHTML", nil))
	send(2001, 2000)
	b.until("the plots move", "document.querySelector('#plots').innerHTML !== window.before")
	b.shows("#apps", "4,000")
	b.fits("operator", 390, 768, 1280)

	b.do(chromedp.Navigate("http://" + w.Admin + "/providers"))
	b.shows("#providers", "java-apns or JavaPNS (Java)")
	b.fits("providers", 390, 768, 1280)
	b.do(chromedp.Navigate("http://" + w.Admin + "/"))

	if _, err := w.Dial(w.ClientTLS()).Write(servertest.Enhanced("bad0"+strings.Repeat("0", 60), 7_000_001)); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "the failure", func() bool {
		_, state := w.Ask(t, http.MethodGet, "/api/state.json", nil)
		return strings.Contains(state, `"identifier":7000001`)
	})
	if err := w.Sim.SetScenario(apnssim.Scenario{Outage: &apnssim.Outage{}}); err != nil {
		t.Fatal(err)
	}
	send(4001, 100)
	b.shows("#remarks", "APNs")
	b.shows("#apps", "APNs is not well")
	b.do(chromedp.Navigate("http://" + w.Admin + "/apps/demo"))
	b.shows("#state", "APNs is not well")
	b.shows("#lanes", "notifications wait for APNs to take them again")
	b.shows("#failures", "7000001")
	b.fits("app", 390, 768, 1280)
	if err := w.Sim.SetScenario(apnssim.Scenario{}); err != nil {
		t.Fatal(err)
	}
	b.follow(chromedp.Evaluate("document.querySelector('form[action$=try] button').click()", nil))
	b.shows("#state", "serves")
	b.shows("#lanes", "accepted")
	b.until("the button has led back", "location.pathname === '/apps/demo'")

	b.do(chromedp.SetValue("form[action$=trace] input", "0c", chromedp.ByQuery))
	b.follow(chromedp.Evaluate("document.querySelector('form[action$=trace] button').click()", nil))
	b.shows("h1", "demo")
	if _, err := conn.Write(servertest.Enhanced(servertest.Token("0c", 1), 5000)); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate("http://" + w.Admin + "/apps/demo/trace"))
	b.shows("#tracing", "begin with 0c")
	b.shows("#notes", "answered")
	b.do(chromedp.Evaluate("document.querySelector('details').open = true", nil))
	b.fits("trace", 390, 768, 1280)
	b.follow(chromedp.Evaluate("document.querySelector('#tracing button').click()", nil))
	b.until("the button has led back", "location.pathname === '/apps/demo'")
	b.do(chromedp.Navigate("http://" + w.Admin + "/apps/demo/trace"))
	b.shows("#tracing", "Nothing is traced now")
}

// A page that is left open says that its gateway has gone, or its app, and goes on when it
// is back.
func TestOperatorPageLeftOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.FixPorts()
	w.Reconfigure("apps:\n", "apps:\n  other:\n    topic: com.example.other\n    endpoint: "+w.Sim.URL()+"\n    endpoint_ca: ca.pem\n"+
		"    credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}}\n"+
		"    clients: [{ca: ca.pem, uid: com.example.other}]\n")
	w.Start()
	b := openBrowser(t)
	b.expects = "Failed to load resource"
	b.do(chromedp.Navigate("http://" + w.Admin + "/apps/other"))
	b.shows("#state", "nothing sent yet")
	w.Stop()
	b.shows(".lost", "the gateway does not answer: what stands here is from then")
	b.fits("lost", 390, 768, 1280)
	w.Start()
	b.until("it is found again", "!document.querySelector('.lost')")
	w.Reconfigure("  other:\n", "  another:\n")
	w.Start()
	b.shows(".lost", `the gateway answers app "other" is not configured`)
}

// The simulator's page shows what a gateway pushes to it.
func TestSimulatorPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	printed := prints(t, `on (https://\S+), control API on (http://\S+),`, "sim", "--listen", "127.0.0.1:0", "--control",
		"127.0.0.1:0",
		"--courier", "127.0.0.1:0", "--cert", w.Path("server.pem"), "--key", w.Path("server-key.pem"))
	w.Reconfigure(w.Sim.URL(), printed[1])
	w.Start()
	b := openBrowser(t)
	b.do(chromedp.Navigate(printed[2]))
	b.shows("#pushes", "nothing yet")
	if _, err := w.Dial(w.ClientTLS()).Write(servertest.Enhanced(servertest.Token("0c", 1), 1)); err != nil {
		t.Fatal(err)
	}
	b.shows("#pushes", servertest.Token("0c", 1)) // it came while the page was open
	b.fits("simulator", 390, 768, 1280)
}

// With 500 apps the page is not a mile long, whether they are in order or each has a trouble of its own.
func TestOperatorPageOfManyApps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	var apps strings.Builder
	const well = "{token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}}"
	for i := range 500 {
		fmt.Fprintf(&apps, "  app%03d:\n    topic: com.example.app%03d\n    endpoint: %s\n    endpoint_ca: ca.pem\n"+
			"    credential: %s\n    clients: [{ca: ca.pem, uid: com.example.app%03d}]\n", i, i, w.Sim.URL(), well, i)
	}
	w.Reconfigure("apps:\n", "apps:\n"+apps.String())
	w.Start()
	b := openBrowser(t)
	b.do(chromedp.Navigate("http://" + w.Admin + "/"))
	b.shows("#apps", "app000")
	short := func(name string) {
		t.Helper()
		b.fits(name, 390, 768, 1280)
		for _, width := range []int64{390, 768, 1280} {
			if height := b.height(width); height >= 5000 {
				t.Errorf("%s: at %d the page is %d pixels high", name, width, height)
			}
		}
	}
	short("many")
	if status, text := w.Ask(t, http.MethodGet, "/?q=app49", nil); status != http.StatusOK || strings.Count(text, `href="/apps/app49`) != 10 {
		t.Errorf("a search answers %d with %d apps", status, strings.Count(text, `href="/apps/app49`))
	}

	var another []byte // app's certificate
	for _, name := range []string{"client.pem", "client-key.pem"} {
		pem, err := os.ReadFile(w.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		another = append(another, pem...)
	}
	w.Write("another.pem", another)
	b.do(chromedp.Navigate("about:blank"))
	w.Reconfigure(apps.String(), strings.ReplaceAll(apps.String(), well, "{certificate: {file: another.pem}}"))
	w.Start()
	b.do(chromedp.Navigate("http://" + w.Admin + "/"))
	b.until("each row tells of it",
		"document.querySelectorAll('#apps .bad').length === document.querySelectorAll('#apps tbody tr').length")
	short("many in trouble")
}
