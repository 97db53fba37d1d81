package pgstore

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// startProxy starts a proxy to the server, and returns the directory of its socket. For each
// connection, passing gives the functions that pass on what the client sends, and what the server
// answers; when one of them returns, the side to which it writes is closed.
func startProxy(t *testing.T, passing func(client, server net.Conn) (requests, answers func())) (dir string) {
	t.Helper()
	const socket = ".s.PGSQL.5432"
	dir, err := os.MkdirTemp("", "proxy") // t.TempDir may have a name too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	var copying sync.WaitGroup
	copying.Go(func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("unix", filepath.Join(server.Dir, socket))
			if err != nil {
				here.Close()
				continue
			}
			requests, answers := passing(here, there)
			copying.Go(func() {
				defer there.Close()
				requests()
			})
			copying.Go(func() {
				defer here.Close()
				answers()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		copying.Wait()
	})
	return dir
}
