package h2conn

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// Debian's h2o goes on compressing headers even though it is asked not to.
func TestH2O(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("apns-id", r.Header.Get("apns-id"))
	}))
	defer backend.Close()
	address := foreign(t, "h2o", func(dir, address string) []string {
		_, port, _ := net.SplitHostPort(address)
		conf := fmt.Sprintf(`
num-threads: 1
listen: {host: 127.0.0.1, port: %s, ssl: {certificate-file: %s/server.pem, key-file: %[2]s/server-key.pem}}
hosts: {default: {paths: {/: {proxy.reverse.url: "%s/"}}}}
`, port, dir, backend.URL)
		if os.Getuid() == 0 {
			conf = "user: root\n" + conf
		}
		path := filepath.Join(dir, "h2o.conf")
		if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"-c", path}
	})
	const count = 3000
	f := newFeeder(pushPrefix(t, "localhost"), count)
	dial(t, address, f.config())
	f.wait(t)
	if f.fates[Answered] != count || f.status[200] != count {
		t.Errorf("fates %v, status %v, errors %v; want %d answered with 200", f.fates, f.status, f.errors, count)
	}
}
