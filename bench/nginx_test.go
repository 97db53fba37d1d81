package bench

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// find returns the path of a program, or "".
func find(program string) string {
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// startNginx runs nginx with one worker until the benchmark ends. It answers
// every push with 200 and no body.
func startNginx(tb testing.TB, program, identity string) (address string) {
	tb.Helper()
	dir := tb.TempDir()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address = ln.Addr().String()
	ln.Close()
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`
daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s ssl http2 backlog=1024;
    ssl_certificate %[3]s/server.pem; ssl_certificate_key %[3]s/server-key.pem; ssl_protocols TLSv1.2 TLSv1.3;
    keepalive_requests 1000000000; keepalive_timeout 1h; http2_max_concurrent_streams 1000;
    location /3/device/ { return 200; }
  }
}`, dir, address, identity)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(program, "-p", dir, "-c", conf)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if tb.Failed() {
			tb.Logf("nginx said: %s", said.Bytes())
		}
	})
	err = await(func() bool {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if err != nil {
		tb.Fatalf("nginx does not listen on %s: %v", address, err)
	}
	return address
}

// h2load is nghttp2's load generator, written in C.
type h2load struct {
	program, address, payload string
	connections               int
}

func newH2load(tb testing.TB, program, address string) *h2load {
	tb.Helper()
	payload := filepath.Join(tb.TempDir(), "payload.json")
	if err := os.WriteFile(payload, sample().Payload, 0o600); err != nil {
		tb.Fatal(err)
	}
	return &h2load{program: program, address: address, payload: payload, connections: 1}
}

var h2loadSpeed = regexp.MustCompile(`finished in [^,]+, ([0-9.]+) req/s`)

// round sends the same request count times. The headers are those of the gateway,
// except that h2load always sends the same path and apns-id.
func (h *h2load) round(tb testing.TB, count int) round {
	tb.Helper()
	cmd := exec.Command(h.program, "-n", strconv.Itoa(count), "-c", strconv.Itoa(h.connections), "-m", "1000",
		"-d", h.payload,
		"-H", "authorization: bearer "+string(bytes.Repeat([]byte{'j'}, 180)), "-H", "apns-topic: "+topic, "-H", "apns-push-type: alert",
		"-H", "apns-id: 123e4567-e89b-12d3-a456-426614174000", "-H", "apns-expiration: 1795000000",
		fmt.Sprintf("https://%s/3/device/%x", h.address, sample().Token))
	out, err := cmd.CombinedOutput()
	speed := h2loadSpeed.FindSubmatch(out)
	if err != nil || speed == nil || !bytes.Contains(out, fmt.Appendf(nil, " %d 2xx,", count)) {
		tb.Fatalf("h2load: %v: %s", err, out)
	}
	perSecond, err := strconv.ParseFloat(string(speed[1]), 64)
	if err != nil {
		tb.Fatal(err)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return round{speed: perSecond, cpu: micros(cpu) / float64(count), allocs: math.NaN()}
}
