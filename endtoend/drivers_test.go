package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// driver is a script that does on the wire what a library of its language does, with
// that language's own runtime and TLS.
type driver struct {
	name    string
	command []string
	mode    string
	deaf    bool          // it may be gone before it can be told
	pause   time.Duration // after every 50
	partly  bool          // sends again only a part behind a failure: bad tokens of the rest are listed in two minutes
	oldTLS  bool          // it speaks TLS 1.0, over which it is told nothing
}

var (
	perl   = []string{"perl", "testdata/foreign/anyevent.pl"}
	ruby   = []string{"ruby", "testdata/foreign/apns.rb"}
	erlang = []string{"escript", "testdata/foreign/apns4erl.escript"}
	java   = []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "testdata/foreign/Apns.java"}
	libssl = []string{"cc", "testdata/foreign/capn.c", "-lssl", "-lcrypto"} // is compiled first
)

var drivers = []driver{
	{name: "AnyEvent::APNS, again", command: perl, mode: "again"},
	{name: "AnyEvent::APNS, again, later", command: perl, mode: "later"},
	{name: "AnyEvent::APNS, drain", command: perl, mode: "drain", deaf: true},
	{name: "rpush", command: ruby, mode: "rpush"},
	{name: "houston", command: ruby, mode: "houston", deaf: true},
	{name: "houston 2.2", command: ruby, mode: "houston-2.2", deaf: true, partly: true, pause: 150 * time.Millisecond},
	{name: "apns4erl, again", command: erlang, mode: "again"},
	{name: "apns4erl, never", command: erlang, mode: "never", partly: true},
	{name: "java-apns", command: java, mode: "java-apns", partly: true},
	{name: "pushy", command: java, mode: "pushy"},
	{name: "libcapn, apn_send", command: libssl, mode: "send"},
	{name: "libcapn, apn_send2", command: libssl, mode: "send2"},
	{name: "libcapn, TLS 1.0", command: libssl, mode: "send2-1.0", oldTLS: true},
}

// With the libraries of other languages each good notification arrives once, and the
// program is told of each bad token or finds it on the feedback list.
func TestForeignLibraries(t *testing.T) {
	for _, d := range atEveryPace() {
		t.Run(fmt.Sprintf("%s, pauses of %v", d.name, d.pause), func(t *testing.T) {
			t.Parallel()
			command := d.find(t)
			m := newMailing(1000, 250)
			if d.partly && !*long {
				m = newMailing(1000, 1000)
			}
			w := newWorld(t, late)
			if d.oldTLS {
				w.Reconfigure("key: server-key.pem", `key: server-key.pem, min_version: "1.0"`)
				w.Start()
			}
			told := d.send(t, w, command, m)
			// Some wait for a second, in which a machine that has much else to do may not have told them.
			for try := 1; try < 5 && len(told) == 0 && !d.deaf && !d.oldTLS; try++ {
				m.isTold(t, w, told)
				m.arrives(t, w)
				w = newWorld(t, late)
				told = d.send(t, w, command, m)
			}
			if len(told) == 0 && !d.deaf && !d.oldTLS || len(told) > 0 && d.oldTLS {
				t.Errorf("it was told of %d bad tokens", len(told))
			}
			m.isTold(t, w, told)
			m.arrives(t, w)
		})
	}
}

// atEveryPace are the drivers. In the long run each also comes with pauses in which the gateway
// answers, and with shorter ones.
func atEveryPace() []driver {
	if !*long {
		return drivers
	}
	var all []driver
	for _, d := range drivers {
		for _, milliseconds := range []time.Duration{0, 30, 70, 150, 300} {
			d.pause = milliseconds * time.Millisecond
			all = append(all, d)
		}
	}
	return all
}

var java17 = regexp.MustCompile(`^\w+ (1[7-9]|[2-9]\d)\b`) // or later

// find gives the command that runs the driver, and skips the test if its program is
// missing.
func (d driver) find(t *testing.T) []string {
	t.Helper()
	path := servertest.Foreign(t, d.command[0])
	switch d.command[0] {
	case "java":
		servertest.Foreign(t, "javac") // `java` compiles the source with it
		out, err := exec.Command(path, "--version").Output()
		if err != nil || !java17.Match(out) {
			t.Skipf("Java 17 is needed: %s, %v", out, err)
		}
	case "cc":
		headers := exec.Command(path, "-E", "-include", "openssl/ssl.h", "-x", "c", os.DevNull)
		if out, err := headers.CombinedOutput(); err != nil {
			t.Skipf("OpenSSL's headers are not installed on this machine: %.300s", out)
		}
		compiled := filepath.Join(t.TempDir(), "driver")
		compile := exec.Command(path, slices.Concat([]string{"-o", compiled}, d.command[1:])...)
		if out, err := compile.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return []string{compiled}
	}
	return slices.Concat([]string{path}, d.command[1:])
}

// send makes the driver send the mailing, and gives the tokens that error responses
// named.
func (d driver) send(t *testing.T, w *world, command []string, m mailing) (told map[string]bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*servertest.Patience)
	defer cancel()
	arguments := []string{w.Push, d.certificate(t, w), w.Path("ca.pem"), d.mode, fmt.Sprint(d.pause.Milliseconds())}
	cmd := exec.CommandContext(ctx, command[0], slices.Concat(command[1:], arguments)...)
	cmd.Stdin = strings.NewReader(m.lines())
	out, err := cmd.CombinedOutput()
	const skip = 77
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended) && ended.ExitCode() == skip:
		t.Skipf("%s has not what the driver needs: %s", d.command[0], out)
	case err != nil || !bytes.HasSuffix(out, []byte("sent\n")):
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	told = make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		response, ok := strings.CutPrefix(strings.TrimSpace(line), "error ")
		if !ok {
			continue
		}
		token, ok := strings.CutPrefix(response, "8 ")
		if !ok || m.good[token] {
			t.Errorf("it was told %q", response)
		}
		told[token] = true
	}
	return told
}

// certificate writes the client's certificate and key in the form that the driver's
// language wants.
func (d driver) certificate(t *testing.T, w *world) string {
	t.Helper()
	own := servertest.PKI().Client
	if d.command[0] != "java" {
		return w.Write("both.pem", slices.Concat(own.CertPEM, own.KeyPEM))
	}
	pair, err := own.TLS()
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern2023.Encode(pair.PrivateKey, own.Leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	return w.Write("client.p12", p12)
}

// isTold waits until the provider was told of every bad token, or it is on the feedback list.
func (m mailing) isTold(t *testing.T, w *world, told map[string]bool) {
	t.Helper()
	listed := make(map[string]bool)
	var missing []string
	for deadline := time.Now().Add(3 * time.Minute); ; {
		for token := range w.listed(t) {
			listed[token] = true
		}
		missing = nil
		for _, token := range m.tokens {
			if m.good[token] && listed[string(servertest.Unhex(token))] {
				t.Errorf("%s is on the feedback list", token)
			}
			if !m.good[token] && !told[token] && !listed[string(servertest.Unhex(token))] {
				missing = append(missing, token)
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%q are neither told nor on the feedback list", missing)
			return
		}
		<-time.After(100 * time.Millisecond)
	}
}
