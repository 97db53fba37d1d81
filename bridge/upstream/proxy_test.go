package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"apnsbridge/bridge/apnssim"
)

// startProxy listens, over TLS if conf is set, and calls answer for each connection. It ends with
// the test.
func startProxy(t *testing.T, conf *tls.Config, answer func(net.Conn)) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := &url.URL{Scheme: "http", Host: l.Addr().String(), User: url.UserPassword("user", "secret-word")}
	if conf != nil {
		l, proxy.Scheme = tls.NewListener(l, conf), "https"
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				answer(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return proxy
}

// through is a proxy that does what it is asked for.
func through(c net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil || req.Method != http.MethodConnect ||
		req.Header.Get("Proxy-Authorization") != "Basic dXNlcjpzZWNyZXQtd29yZA==" {
		return
	}
	to, err := net.Dial("tcp", req.Host)
	if err != nil {
		return
	}
	io.WriteString(c, "HTTP/1.1 200 Connection established\r\nVia: here\r\n\r\n")
	go func() {
		io.Copy(to, c)
		to.Close()
	}()
	io.Copy(c, to)
}

func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	certificate, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}}
}

// A proxy is spoken to as its URL says, and over TLS its certificate is verified.
func TestProxy(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			sim := startSim(t, apnssim.Scenario{})
			e := endpoint(sim)
			var conf *tls.Config
			if secure {
				conf = serverTLS(t)
			}
			e.Proxy = startProxy(t, conf, through)
			if secure {
				g := openRig(t, Config{Endpoint: e, Credential: tokenCredential(t)})
				g.once = true
				g.push(goodDevice, 1, hello)
				if want := "certificate signed by unknown authority"; !strings.Contains(g.last.Reason, want) {
					t.Fatalf("got %+v, want %q", g.last, want)
				}
			}
			g := openRig(t, Config{Endpoint: e, Credential: tokenCredential(t)})
			if secure { // the system's authorities are not the test's; nothing is dialled yet
				g.target.proxyTLS.RootCAs = pki().Pool()
			}
			g.push(goodDevice, 50, hello)
			if got := g.counted(); got[Accepted] != 50 {
				t.Errorf("verdicts %v, want 50 accepted", got)
			}
		})
	}
}

// Whatever a proxy says, and however long it takes: both are bounded, the error says what to do,
// and never contains the password.
func TestProxyAnswers(t *testing.T) {
	t.Parallel()
	flood := func(line string) func(net.Conn) {
		return func(c net.Conn) {
			http.ReadRequest(bufio.NewReader(c))
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for sent := 0; ; sent += len(line) {
				if _, err := io.WriteString(c, line); err != nil {
					return
				}
				if sent > 64<<20 {
					t.Error("the proxy's answer was read for 64 MiB")
					return
				}
			}
		}
	}
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			http.ReadRequest(bufio.NewReader(c))
			io.WriteString(c, text)
		}
	}
	for _, tt := range []struct {
		name   string
		secure bool // as the URL says
		answer func(net.Conn)
		want   []string
	}{
		{"a line without end", false, flood("x"), []string{"with more than 16384 bytes"}},
		{"headers without end", false, flood("X-A: b\r\n"), []string{"with more than 16384 bytes"}},
		{"a status of many words", false, say("HTTP/1.1 503 " + strings.Repeat("\x1b[31mx", 1000) + "\r\n\r\n"),
			[]string{"with 503 ?[31mx", "see that the proxy runs"}},
		{"no HTTP", false, say(strings.Repeat("SSH-2.0-OpenSSH\a", 500) + "\r\n"), []string{"with what is no HTTP"}},
		{"nothing", false, say(""), []string{"without an answer"}},
		{"half an answer", false, say("HTTP/1.1 200 OK\r\nX-A: b\r\n"), []string{"without an answer"}},
		{"more than an answer", false, say("HTTP/1.1 200 OK\r\n\r\nSSH-2.0"), []string{"sends data before it is asked"}},
		{"no password", false, say("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
			[]string{"with 407", "http://USER:PASSWORD@HOST:PORT"}},
		{"the password itself", false, say("HTTP/1.1 403 dXNlcjpzZWNyZXQtd29yZA== is user:secret-word\r\n\r\n"),
			[]string{"with 403 xxx is user:xxx"}},
		{"silence", false, func(c net.Conn) { io.Copy(io.Discard, c) }, []string{"no answer in time"}},
		{"a byte at a time", false, func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "H"); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}, []string{"no answer in time"}},
		{"TLS is not spoken", true, say("HTTP/1.1 400 Bad Request\r\n\r\n"), []string{"does not speak TLS", "http://"}},
		{"TLS is not answered", true, func(c net.Conn) { io.Copy(io.Discard, c) }, []string{"no answer in time"}},
		{"TLS is spoken", false, say("\x15\x03\x01\x00\x02\x02\x0a"), []string{"speaks TLS", "https://"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxy := startProxy(t, nil, tt.answer)
			if tt.secure {
				proxy.Scheme = "https"
			}
			ctx := within(t)
			if tt.want[0] == "no answer in time" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
				defer cancel()
			}
			_, err := Probe(ctx, Question{
				Endpoint: Endpoint{URL: "https://127.0.0.1:1", Proxy: proxy}, Credential: tokenCredential(t), Topic: topic,
			})
			for _, want := range append(tt.want, "proxy "+proxy.Host) {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("got %v, want %q", err, want)
				}
			}
			wellSaid(t, err)
		})
	}
}

func wellSaid(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > 600 || strings.Contains(text, "secret") || strings.Contains(text, "dXNlcj") ||
		strings.ContainsFunc(text, unicode.IsControl) {
		t.Fatalf("error of %d bytes: %q", len(text), text)
	}
}

// FuzzProxyAnswer: whatever a proxy answers, no more of it is read than is allowed, only a 200
// with nothing behind it opens a tunnel, and the error for everything else is one short line.
func FuzzProxyAnswer(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n", "HTTP/1.1 200\r\n\r\nmore",
		"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "\x15\x03\x01\x00\x02\x02\x46", "HTTP/9", "\n\n",
	} {
		f.Add([]byte(text), 0)
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\n"), proxyAnswerBytes)
	f.Fuzz(func(t *testing.T, answer []byte, padding int) {
		endless := bytes.Repeat([]byte("X: y\r\n"), min(max(padding, 0), 4*proxyAnswerBytes)/6)
		from := &countingReader{r: io.MultiReader(bytes.NewReader(answer), bytes.NewReader(endless))}
		req := &http.Request{Method: http.MethodConnect, Host: "api.push.apple.com:443"}
		err := readTunnel(from, req)
		if from.read > proxyAnswerBytes {
			t.Fatalf("%d bytes were read", from.read)
		}
		if err == nil {
			text := string(append(answer, endless...))
			if !strings.HasPrefix(text, "HTTP/") || !strings.Contains(text, "200") || !strings.HasSuffix(text, "\n") {
				t.Fatalf("%q is taken for a tunnel", text)
			}
			return
		}
		if errors.Is(err, io.EOF) {
			t.Fatalf("a bare %v says nothing", err)
		}
		wellSaid(t, err)
	})
}

type countingReader struct {
	r    io.Reader
	read int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += n
	return n, err
}
