package endtoend

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/gateway/provider"
)

// oddPayloads are payloads that a JSON library would change.
var oddPayloads = []string{
	`{"aps":{"alert":"plain"}}`,
	`{"aps":{"alert":"<b>&amp;</b>"}}`,
	"{\"aps\":{\"alert\":\"a\u2028b\u2029c\"}}",
	"{\"aps\":{\"alert\":\"\xff\xfe\x80\"}}",
	`{"aps":{"alert":"\u003c\/ \ud800"},"n":1.0e+2}`,
	"  {\t\"aps\" : {}}  ",
	"not JSON at all",
}

// 10,000 notifications from one send arrive exactly once in each format, with their
// payload bytes unchanged.
func TestSendThousands(t *testing.T) {
	const count = 10_000
	w := newWorld(t, apnssim.Scenario{})
	want := make(map[string]string, count)
	var lines bytes.Buffer
	for i := range count {
		payload := oddPayloads[i%len(oddPayloads)]
		want[servertest.Token("0a", i)] = payload
		fmt.Fprintf(&lines, "%s %s\n", servertest.Token("0a", i), payload)
	}
	file := w.Write("notifications", lines.Bytes())
	for _, format := range []string{"simple", "enhanced", "frame"} {
		t.Run(format, func(t *testing.T) {
			w.Sim.Reset()
			code, stdout, stderr := w.Apnsbridge("", w.Credentials("send", "--gateway", w.Push, "--format", format, "--from",
				file, "--quiet", "10ms")...)
			if code != servertest.OK || !strings.HasPrefix(stdout, "10,000 sent") {
				t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
			}
			w.Await("all arrive", func(s apnssim.Stats) bool { return s.Accepted >= count })
			received := w.Sim.Received(0)
			if len(received.Pushes) != count || received.Duplicates != 0 {
				t.Fatalf("got %d pushes and %d duplicates, want %d and none", len(received.Pushes), received.Duplicates, count)
			}
			for _, p := range received.Pushes {
				if want[p.Token] != string(p.Payload) {
					t.Fatalf("token %s: got payload %q, want %q", p.Token, p.Payload, want[p.Token])
				}
			}
		})
	}
}

// A list of dead devices is given once: a second read finds none. A reader that is killed
// with unread bytes leaves the list whole.
func TestFeedback(t *testing.T) {
	t.Parallel()
	const count, since = 5000, 1_780_000_000
	w := newWorld(t, apnssim.Scenario{})
	var lines bytes.Buffer
	for i := range count {
		if err := w.Sim.SetDevice(apnssim.Device{Token: servertest.Token("0b", i), Topic: story.Topic, State: apnssim.Uninstalled, Since: since + int64(i)}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&lines, servertest.Token("0b", i))
	}
	if code, stdout, stderr := w.Apnsbridge(lines.String(), w.Credentials("send", "--gateway", w.Push, "--from", "-", "--quiet", "10ms")...); code != servertest.OK {
		t.Fatalf("send: exit %d\n%s%s", code, stdout, stderr)
	}
	w.Await("all are answered", func(s apnssim.Stats) bool { return s.Rejected >= count })

	killed, err := provider.Dial(t.Context(), w.Feedback, w.ClientTLS())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(killed, make([]byte, 38*10)); err != nil {
		t.Fatal(err)
	}
	killed.Abort()

	read := w.Credentials("feedback", "--feedback", w.Feedback)
	var stdout, stderr string
	servertest.WaitFor(t, "the list is given again", func() bool {
		var code int
		if code, stdout, stderr = w.Apnsbridge("", read...); code != servertest.OK {
			t.Fatalf("feedback: exit %d\n%s", code, stderr)
		}
		return stdout != "" // empty while the killed reader counts as reading, and 10 s after
	})
	got := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(got) != count {
		t.Fatalf("got %d lines, want %d", len(got), count)
	}
	if want := "2026-05-28T20:26:40Z " + servertest.Token("0b", 0); !slices.Contains(got, want) {
		t.Errorf("got no line %q but %q", want, got[0])
	}
	if _, stdout, _ := w.Apnsbridge("", read...); stdout != "" {
		t.Errorf("a second read gives %.200q, want nothing", stdout)
	}
}

// With one bad token, send reports it, and everything else arrives.
func TestSendReportsBadToken(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	var lines bytes.Buffer
	for i := range 50 {
		prefix := "0c"
		if i == 25 {
			prefix = "bad0"
		}
		fmt.Fprintln(&lines, servertest.Token(prefix, i))
	}
	code, stdout, stderr := w.Apnsbridge(lines.String(), w.Credentials("send", "--gateway", w.Push, "--from", "-")...)
	if code != servertest.Failed || !strings.Contains(stdout,
		"error packet: status 8 (invalid token), identifier 26, notification 26") ||
		!strings.Contains(stderr, "1 of 50 notifications were refused") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	w.Await("all others arrive", func(s apnssim.Stats) bool { return s.Accepted >= 49 })
}

func TestAdmin(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	for path, want := range map[string]string{
		"/healthz": "ok\n",
		"/readyz":  "ok\n",
		"/metrics": `apnsbridge_notifications_unsettled 0`,
	} {
		response, err := http.Get("http://" + w.Admin + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: got %d, error %v and %.300q, want %q", path, response.StatusCode, err, body, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Random bytes on either port end nothing but their own connection.
func TestRandomBytes(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		addr := []string{w.Push, w.Feedback}[i%2]
		c, err := provider.Dial(t.Context(), addr, w.ClientTLS())
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, rng.IntN(3000))
		for j := range b {
			b[j] = byte(rng.Uint32())
		}
		c.TCP.Write(b[:len(b)/2]) // below TLS
		c.Write(b[len(b)/2:])
		c.Close()
	}
	if code, stdout, stderr := w.Apnsbridge("", w.Credentials("send", "--gateway", w.Push, "--token", servertest.Token("0d", 1), "--quiet", "10ms")...); code != servertest.OK {
		t.Errorf("send: exit %d\n%s%s", code, stdout, stderr)
	}
	w.Await("a good one still arrives", func(s apnssim.Stats) bool { return s.Accepted == 1 })
}

// A client that is not admitted has sent nothing, whatever it wrote before the alert came.
func TestSendThatIsNotAdmitted(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"no certificate":   {[]string{"--ca", w.Path("ca.pem")}, "does not admit"},
		"a foreign server": {nil, "--ca"},
	} {
		args := append([]string{"send", "--gateway", w.Push, "--token", servertest.Token("0a", 1)}, tt.args...)
		code, stdout, stderr := w.Apnsbridge("", args...)
		if code != servertest.Failed || !strings.HasPrefix(stdout, "0 sent in ") || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: exit code %d\n%s%s", name, code, stdout, stderr)
		}
	}
}
