package h2conn

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"crypto/x509"
)

// Servers that share no code with x/net show whether we speak HTTP/2, or only what Go's
// implementation accepts. They are in Debian's packages nginx, nghttp2-server and h2o.

// foreign starts a program that serves HTTP/2 at the returned address.
func foreign(t testing.TB, program string, arguments func(dir, address string) []string) (address string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	dir := t.TempDir()
	writeCertificate(t, dir)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = ln.Addr().String()
	ln.Close()
	var said bytes.Buffer
	cmd := exec.Command(path, arguments(dir, address)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said: %s", program, said.Bytes())
		}
	})
	deadline := time.Now().Add(10 * time.Second)
	for {
		nc, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			nc.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s: %v", program, address, err)
		}
	}
}

func writeCertificate(t testing.TB, dir string) {
	t.Helper()
	cert, _ := authority()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"server.pem":     {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		"server-key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// nginx answers with what it understood, so that a wrong header block shows.
func nginx(t testing.TB, settings string) (address string) {
	return foreign(t, "nginx", func(dir, address string) []string {
		_, port, _ := net.SplitHostPort(address)
		conf := fmt.Sprintf(`
daemon off; master_process off; pid %[1]s/pid; error_log stderr error;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server {
    listen 127.0.0.1:%[2]s ssl http2;
    ssl_certificate %[1]s/server.pem; ssl_certificate_key %[1]s/server-key.pem;
    %[3]s
    location /3/device/ { add_header apns-id $http_apns_id; return 200; }
    location /tell { add_header apns-id $http_apns_id; return 400 "$request_method $host $http_apns_topic $request_uri"; }
  }
}`, dir, port, settings)
		path := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"-p", dir, "-c", path}
	})
}

func TestNginx(t *testing.T) {
	t.Run("what is sent is understood", func(t *testing.T) {
		address := nginx(t, "")
		got := make(chan string, 100)
		c := dial(t, address, Config{Want: []string{"apns-id"}, Complete: func(_ *Conn, done []*Request) {
			for _, r := range done {
				if r.Fate != Answered {
					got <- r.Err.Error()
					continue
				}
				got <- fmt.Sprintf("%d %s %s", r.Response.Status, r.Response.Values[0], r.Response.Body)
			}
		}})
		waitOpen(t, c)
		prefix := pushPrefix(t, "localhost")
		for i := range 50 {
			r := &Request{Prefix: prefix, Path: fmt.Appendf(nil, "/tell/%d", i), Body: bytes.Repeat([]byte("x"), 100*i),
				Fields: []Field{{"apns-id", fmt.Appendf(nil, "id-%d", i)}}}
			if n, err := c.Submit([]*Request{r}); n != 1 {
				t.Fatal(err)
			}
			// nginx adds headers to a response with status 400 only with "always".
			want := fmt.Sprintf("400  POST localhost com.example.mail /tell/%d", i)
			if s := receive(t, got); s != want {
				t.Fatalf("got %q, want %q", s, want)
			}
		}
	})
	t.Run("many", func(t *testing.T) {
		const count = 20000
		f := newFeeder(pushPrefix(t, "localhost"), count)
		dial(t, nginx(t, "keepalive_requests 1000000;"), f.config())
		f.wait(t)
		if f.fates[Answered] != count || f.status[200] != count {
			t.Errorf("fates %v, status %v, errors %v; want %d answered with 200", f.fates, f.status, f.errors, count)
		}
	})
	t.Run("GOAWAY after 1,000 requests, again and again", func(t *testing.T) {
		const count = 20000
		address := nginx(t, "keepalive_requests 1000;")
		f := newFeeder(pushPrefix(t, "localhost"), count)
		retried := 0
		cfg := f.config()
		cfg.Complete = func(c *Conn, done []*Request) {
			f.mu.Lock()
			for _, r := range done {
				if r.Fate == Unprocessed {
					f.left++
					f.fates[Unprocessed]--
					retried++
				}
			}
			f.mu.Unlock()
			f.complete(c, done)
		}
		connections := 0
		for over := false; !over; connections++ {
			c := dial(t, address, cfg)
			select {
			case <-f.ended:
				over = true
			case <-c.Done():
			}
		}
		if f.fates[Answered] != count || f.status[200] != count {
			t.Errorf("fates %v, status %v, errors %v; want %d answered with 200", f.fates, f.status, f.errors, count)
		}
		if connections < 2 {
			t.Errorf("%d connections, want several", connections)
		}
		t.Logf("%d connections, %d repeated", connections, retried)
	})
	t.Run("as RoundTripper", func(t *testing.T) {
		address := nginx(t, "")
		c := dial(t, address, Config{})
		hc := http.Client{Transport: c.RoundTripper()}
		resp, err := hc.Post("https://"+address+"/tell/me?a=b", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if want := "POST 127.0.0.1  /tell/me?a=b"; resp.StatusCode != 400 || string(body) != want || resp.ContentLength != int64(len(want)) {
			t.Errorf("got %s, %d bytes, %q, want 400 and %q", resp.Status, resp.ContentLength, body, want)
		}
	})
}

func TestNghttpd(t *testing.T) {
	address := foreign(t, "nghttpd", func(dir, address string) []string {
		host, port, _ := net.SplitHostPort(address)
		return []string{"-a", host, "-m", "50", "-w", "10", "-W", "10", "--echo-upload", port,
			filepath.Join(dir, "server-key.pem"), filepath.Join(dir, "server.pem")}
	})
	// Windows of 1,023 bytes split every body; 50 streams at once.
	var bodies [8][]byte
	for i := range bodies {
		bodies[i] = bytes.Repeat([]byte{byte('a' + i)}, 1+i*1500)
	}
	wrong := make(chan string, 1000)
	f := newFeeder(pushPrefix(t, "localhost"), 2000)
	cfg := f.config()
	cfg.Complete = func(c *Conn, done []*Request) {
		for _, r := range done {
			if r.Fate == Answered && !bytes.Equal(r.Response.Body, r.Body) {
				wrong <- fmt.Sprintf("sent %d bytes, got back %d", len(r.Body), len(r.Response.Body))
			}
		}
		f.complete(c, done)
	}
	for i := range 64 {
		r := f.request()
		r.Body = bodies[i%len(bodies)]
		f.free = append(f.free, r)
	}
	dial(t, address, cfg)
	f.wait(t)
	if f.fates[Answered] != 2000 || f.status[200] != 2000 {
		t.Errorf("fates %v, status %v, errors %v; want 2000 answered with 200", f.fates, f.status, f.errors)
	}
	select {
	case w := <-wrong:
		t.Error(w)
	default:
	}
}

func TestDialNeedsHTTP2(t *testing.T) {
	cert, _ := authority()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if nc, err := ln.Accept(); err == nil {
			nc.(*tls.Conn).Handshake()
			nc.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	_, err = Dial(ctx, ln.Addr().String(), Config{TLS: clientTLS()})
	if err == nil || !strings.Contains(err.Error(), "does not speak HTTP/2") {
		t.Errorf("got %v, want an error about HTTP/2", err)
	}
	<-ended
}

func BenchmarkNginx(b *testing.B) {
	address := nginx(b, "keepalive_requests 100000000; http2_max_concurrent_streams 1000;")
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b.Run("Submit", func(b *testing.B) {
		f := newFeeder(pushPrefix(b, "localhost"), b.N)
		b.ReportAllocs()
		b.ResetTimer()
		before := cpu()
		c := dial(b, address, f.config())
		f.wait(b)
		b.StopTimer()
		b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
		if f.fates[Answered] != b.N {
			b.Fatalf("fates %v of %d, errors %v", f.fates, b.N, f.errors)
		}
		st := c.Stats()
		b.ReportMetric(float64(b.N)/float64(st.Flushes), "req/flush")
		b.ReportMetric(float64(b.N)/float64(st.Bursts), "req/burst")
	})
	b.Run("RoundTripper", func(b *testing.B) {
		c := dial(b, address, Config{})
		before := cpu()
		benchmarkRoundTrips(b, c.RoundTripper(), address)
		b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
	})
	b.Run("StockTransport", func(b *testing.B) {
		tr := stock()
		defer tr.CloseIdleConnections()
		before := cpu()
		benchmarkRoundTrips(b, tr, address)
		b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
	})
}
