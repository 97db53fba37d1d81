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

// Postgres is a PostgreSQL of a test package's own.
type Postgres struct {
	Dir  string // of its socket
	data string
	as   *syscall.Credential // nil: ourselves
	log  *os.File

	args  []string // of the server, itself for one
	cmd   *exec.Cmd
	alive io.Closer     // which ends it
	ended chan struct{} // closed when it has; nil: it was never started
}

// postgresPort names the socket; nothing listens on it.
const postgresPort = 5432

// StartPostgres makes a PostgreSQL and starts it, with settings such as "fsync=off". It
// runs until Stop. An error is the reason for which tests that need it skip.
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

// watched runs a server until standard input ends: also that of a test which panics.
const watched = `exec 3<&0
"$0" "$@" 3<&- </dev/null &
cat <&3 >/dev/null
kill -QUIT $!
wait $!`

// Start has the server run again after Kill, and waits until it is ready.
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

// Kill ends the server at once, as a crash would.
func (p *Postgres) Kill() {
	if p.ended != nil {
		_ = p.alive.Close()
		<-p.ended
	}
}

// giveToAnother has the server run as another user where we are root, which it refuses.
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

// URL is how to reach the server.
func (p *Postgres) URL() string {
	return fmt.Sprintf("postgres://postgres@/postgres?host=%s&port=%d", p.Dir, postgresPort)
}

// Stop ends the server at once and removes what it had.
func (p *Postgres) Stop() {
	p.Kill()
	if p.log != nil {
		p.log.Close()
	}
	_ = os.RemoveAll(p.Dir)
}

// postgresPrograms finds the directory of initdb and postgres, the newest if there are
// several.
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
