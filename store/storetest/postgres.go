//go:build unix

package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Postgres is a PostgreSQL server that a test package has for itself.
type Postgres struct {
	Dir  string // of its socket
	data string
	as   *syscall.Credential // nil: the current user
	log  *os.File

	args  []string // the server's program and its arguments
	cmd   *exec.Cmd
	alive io.Closer     // closing it ends the server
	ended chan struct{} // closed when the server has ended; nil: it was never started
}

// postgresPort is part of the socket's name; no server listens on the TCP port.
const postgresPort = 5432

// StartPostgres creates a PostgreSQL server and starts it, with settings such as "fsync=off".
// It runs until Stop. An error is the reason with which tests that need it are skipped.
func StartPostgres(settings ...string) (p *Postgres, err error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	p = new(Postgres)
	if p.Dir, err = os.MkdirTemp(memory(), "pg"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.Stop()
			p = nil
		}
	}()
	p.data = filepath.Join(p.Dir, "data")
	if err := p.giveToAnother(); err != nil {
		return p, err
	}
	if out, err := p.command(filepath.Join(bin, "initdb"), "-D", p.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--locale=C", "--no-sync").CombinedOutput(); err != nil {
		return p, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if p.log, err = os.Create(filepath.Join(p.Dir, "log")); err != nil {
		return p, err
	}
	p.args = []string{filepath.Join(bin, "postgres"), "-D", p.data, "-k", p.Dir, "-h", "", "-p",
		strconv.Itoa(postgresPort), "-c", "max_connections=200"}
	for _, s := range settings {
		p.args = append(p.args, "-c", s)
	}
	return p, p.Start()
}

// watched runs a server until standard input ends, so that it also ends when a test panics.
const watched = `exec 3<&0
"$0" "$@" 3<&- </dev/null &
cat <&3 >/dev/null
kill -QUIT $!
wait $!`

// Start starts the server again after Kill, and waits until it is ready.
func (p *Postgres) Start() error {
	before, _ := os.ReadFile(p.log.Name())
	p.cmd = p.command("/bin/sh", append([]string{"-c", watched}, p.args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	alive, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.alive, p.ended = alive, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		text, _ := os.ReadFile(p.log.Name())
		text = text[len(before):]
		if bytes.Contains(text, []byte("ready to accept ")) {
			return nil
		}
		if time.Now().After(deadline) || bytes.Contains(text, []byte("database system is shut down")) {
			return fmt.Errorf("postgres is not ready: %s", text)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Kill ends the server at once, like a crash.
func (p *Postgres) Kill() {
	if p.ended != nil {
		_ = p.alive.Close()
		<-p.ended
	}
}

// giveToAnother makes the server run as another user if we are root, since it refuses to run as
// root.
func (p *Postgres) giveToAnother() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return fmt.Errorf("PostgreSQL refuses to run as root: %w", err)
		}
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	p.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}
	return os.Chown(p.Dir, uid, gid)
}

func (p *Postgres) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = p.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	return cmd
}

// URL returns the URL of the server.
func (p *Postgres) URL() string {
	return fmt.Sprintf("postgres://postgres@/postgres?host=%s&port=%d", p.Dir, postgresPort)
}

// Stop ends the server at once and removes its files.
func (p *Postgres) Stop() {
	p.Kill()
	if p.log != nil {
		p.log.Close()
	}
	_ = os.RemoveAll(p.Dir)
}

// postgresPrograms finds the directory of initdb and postgres, of the newest version if there
// are several.
func postgresPrograms() (dir string, err error) {
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // Debian
	if len(installed) > 0 {
		return filepath.Dir(installed[len(installed)-1]), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", errors.New("PostgreSQL is not installed: apt-get install postgresql")
	}
	return filepath.Dir(path), nil
}
