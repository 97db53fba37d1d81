package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"apnsbridge/gateway/devpki"
)

var profiles = flag.String("profiles", "", "`directory` for profiles of the processes that take part")

const topic = "com.example.bench"

var pki = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create(topic)
	if err != nil {
		panic(err)
	}
	return p
})

// writePKI writes pki to a directory, for children to read.
func writePKI(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "pki")
	if err := pki().Write(dir); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// child is a process that plays a part.
type child struct {
	tb      testing.TB
	name    string
	address string // it listens on
	in      *json.Encoder
	out     *json.Decoder
	process *os.Process
	killed  bool
}

// kill ends the process at once, so that its descriptors and locks are free. Its profile
// ends before.
func (c *child) kill() {
	if *profiles != "" {
		c.ask(order{Do: "profiled"})
	}
	c.killed = true
	c.process.Kill()
	c.process.Wait()
}

// startChild starts a process that ends with the benchmark.
func startChild(tb testing.TB, name string, s setting) *child {
	tb.Helper()
	if s.Dir == "" {
		s.Dir = tb.TempDir()
	}
	if *profiles != "" {
		s.Profile = nextProfile(name)
	}
	cmd := exec.Command(cmp.Or(s.Program, os.Args[0]))
	cmd.Env = append(os.Environ(), partVariable+"="+name)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	c := &child{tb: tb, name: name, in: json.NewEncoder(stdin), out: json.NewDecoder(stdout), process: cmd.Process}
	tb.Cleanup(func() {
		stdin.Close()
		io.Copy(io.Discard, stdout)
		if c.killed {
			return
		}
		if err := cmd.Wait(); err != nil || tb.Failed() {
			tb.Errorf("%s ended with %v and said: %s", name, err, said.Bytes())
		}
	})
	if err := c.in.Encode(s); err != nil {
		tb.Fatal(err)
	}
	c.address = c.hear("start").Address
	return c
}

var profileNumber int

func nextProfile(name string) string {
	profileNumber++
	return filepath.Join(*profiles, fmt.Sprintf("%s-%d.pprof", name, profileNumber))
}

// ask gives an order and waits until it is done.
func (c *child) ask(o order) answer {
	c.tb.Helper()
	c.tell(o)
	return c.hear(o.Do)
}

// tell gives an order.
func (c *child) tell(o order) {
	c.tb.Helper()
	if err := c.in.Encode(o); err != nil {
		c.tb.Fatalf("%s, %s: %v", c.name, o.Do, err)
	}
}

func (c *child) hear(what string) answer {
	c.tb.Helper()
	var a answer
	if err := c.out.Decode(&a); err != nil {
		c.tb.Fatalf("%s, %s: %v", c.name, what, err)
	}
	if a.Error != "" {
		c.tb.Fatalf("%s, %s: %s", c.name, what, a.Error)
	}
	return a
}
