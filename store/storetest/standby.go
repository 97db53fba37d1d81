//go:build unix

package storetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Standby creates a server that follows p, and starts it. It runs until Stop.
func (p *Postgres) Standby() (s *Postgres, err error) {
	s = &Postgres{as: p.as}
	if s.Dir, err = os.MkdirTemp(filepath.Dir(p.Dir), "pg"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Stop()
			s = nil
		}
	}()
	s.data = filepath.Join(s.Dir, "data")
	if err := s.giveToAnother(); err != nil {
		return s, err
	}
	bin := filepath.Dir(p.args[0])
	if out, err := s.command(filepath.Join(bin, "pg_basebackup"), "-h", p.Dir, "-U", "postgres", "-D", s.data, "-R",
		"-c", "fast", "--no-sync").CombinedOutput(); err != nil {
		return s, fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	if s.log, err = os.Create(filepath.Join(s.Dir, "log")); err != nil {
		return s, err
	}
	s.args = slices.Clone(p.args)
	for i, a := range s.args {
		switch a {
		case p.data:
			s.args[i] = s.data
		case p.Dir:
			s.args[i] = s.Dir
		}
	}
	return s, s.Start()
}

// Promote makes a standby accept writes.
func (p *Postgres) Promote() error {
	program := filepath.Join(filepath.Dir(p.args[0]), "pg_ctl")
	out, err := p.command(program, "promote", "-w", "-D", p.data).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pg_ctl promote: %w: %s", err, out)
	}
	return nil
}

// Synchronize makes p wait at each commit until its standby has it.
func (p *Postgres) Synchronize() error {
	for _, statement := range []string{"alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"} {
		out, err := p.command("psql", "-h", p.Dir, "-U", "postgres", "-c", statement).CombinedOutput()
		if err != nil {
			return fmt.Errorf("psql: %w: %s", err, out)
		}
	}
	return nil
}

// URLOf returns a URL for whichever of two servers accepts writes.
func URLOf(a, b *Postgres) string {
	return fmt.Sprintf("postgres:///postgres?user=postgres&host=%s,%s&port=%d,%d",
		a.Dir, b.Dir, postgresPort, postgresPort)
}
