package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// haproxyConfig has a way to the gateway for each kind of header. It is a format for the
// directory of the certificates and the gateway's push and feedback ports. Where it
// terminates TLS, it connects from another address.
const haproxyConfig = `defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen version1
  bind fd@3
  server gateway %[2]s source 127.0.0.9 send-proxy
listen version2
  bind fd@4
  server gateway %[2]s source 127.0.0.9 send-proxy-v2 check inter 50ms
listen terminated
  bind fd@5 ssl crt %[1]s/haproxy.pem ca-file %[1]s/ca.pem verify optional ca-ignore-err all crt-ignore-err all
  server gateway %[2]s source 127.0.0.10 send-proxy-v2-ssl-cn
listen feedback
  bind fd@6
  server gateway %[3]s source 127.0.0.9 send-proxy-v2
`

// startHAProxy starts haproxy and returns the addresses of its listeners, in order.
func startHAProxy(t *testing.T, w *world) []string {
	t.Helper()
	path := servertest.Foreign(t, "haproxy")
	var pair []byte
	for _, name := range []string{"server.pem", "server-key.pem"} {
		text, err := os.ReadFile(w.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		pair = append(pair, text...)
	}
	w.Write("haproxy.pem", pair)
	cmd := exec.Command(path, "-db", "-q", "-f", w.Write("haproxy.cfg",
		fmt.Appendf(nil, haproxyConfig, w.Dir, w.Push, w.Feedback)))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	var addresses []string
	for range strings.Count(haproxyConfig, "fd@") {
		f, address := servertest.HeldPort(t)
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		addresses = append(addresses, address)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return addresses
}

// Behind a real haproxy, the provider's own address decides and is logged; what haproxy says
// about a certificate does not count.
func TestHAProxy(t *testing.T) {
	t.Parallel()
	servertest.Foreign(t, "haproxy")
	w, all := newWhoWorld(t)
	w.Stop()
	for _, port := range []string{"gateway", "feedback"} {
		w.Amend(port+`: {listen: "127.0.0.1:0"}`,
			port+`: {listen: {address: "127.0.0.1:0", proxy_protocol: [127.0.0.9, 127.0.0.10]}}`)
	}
	w.Amend("key: server-key.pem", "key: server-key.pem, terminated: 127.0.0.10")
	w.Start()
	front := startHAProxy(t, w)
	version1, version2, terminated := front[0], front[1], front[2]
	w.Feedback = front[3]

	named := func(name string) who {
		i := slices.IndexFunc(all, func(p who) bool { return p.name == name })
		if i < 0 {
			t.Fatalf("there is no client %q", name)
		}
		return all[i]
	}
	listed, neighbour, pinned := named("no certificate, from a listed network"),
		named("no certificate, from the network's neighbour"), named("a pinned certificate")
	for i, way := range []string{version1, version2} {
		t.Run(fmt.Sprintf("version %d", i+1), func(t *testing.T) {
			w.Push = way
			for j, p := range []who{listed, pinned} {
				number := 4*i + 2*j
				w.checkPushes(t, p, tls.VersionTLS12, servertest.Token("0a", number), servertest.Token("dead", number))
				w.checkFeedback(t, p, tls.VersionTLS13, servertest.Token("dead", number))
			}
			w.checkRefused(t, way, neighbour, tls.VersionTLS13)
			w.checkRefused(t, w.Feedback, neighbour, tls.VersionTLS12)
		})
	}
	t.Run("terminated", func(t *testing.T) {
		w.Push = terminated
		withCertificate := pinned
		withCertificate.from, withCertificate.app, withCertificate.topic = listed.from, listed.app, listed.topic
		for i, p := range []who{listed, withCertificate} {
			number := 100 + i
			w.checkPushes(t, p, tls.VersionTLS12, servertest.Token("0a", number), servertest.Token("dead", number))
		}
		c, err := pinned.dial(t, terminated, pinned.tls(tls.VersionTLS12))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("got %x, %v, want the end: haproxy's word about a certificate admits nobody", b, err)
		}
		w.checkLogged(t, c.LocalAddr().String(), "client refused", "reason", "presented no certificate")
	})
	if got := w.service.push.Stats(); got.BadProxyHeaders != 0 || got.Proxied == 0 || got.WithoutTLS != 0 {
		t.Errorf("%d bad headers, %d proxied, %d without TLS; want none, some, none", got.BadProxyHeaders, got.Proxied,
			got.WithoutTLS)
	}
	servertest.WaitFor(t, "haproxy asks for itself whether the gateway is there", func() bool {
		got := w.service.push.Stats()
		return got.Accepted > got.Proxied
	})
	quiet := func(fields map[string]any) bool { return fields["level"] != "debug" }
	if line := w.logged("handshake failed", quiet); line != nil {
		t.Errorf("haproxy's own health checks are in the log: %v", line)
	}
}

// checkLogged waits for a log line about an address, and checks that one of its fields
// contains part.
func (w *world) checkLogged(t *testing.T, address, message, field, part string) {
	t.Helper()
	var line map[string]any
	servertest.WaitFor(t, "the log has a line", func() bool {
		line = w.logged(message, func(fields map[string]any) bool { return fields["address"] == address })
		return line != nil
	})
	if got, _ := line[field].(string); !strings.Contains(got, part) {
		t.Errorf("%s is %q, want %q in it", field, got, part)
	}
	if via, _ := line["via"].(string); !strings.HasPrefix(via, "127.0.0.") {
		t.Errorf("via is %q, want haproxy's address", via)
	}
}
