package pgstore

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"apnsbridge/store"
)

// refusal checks that Open refuses c, in one sentence that contains all of words.
func refusal(t *testing.T, c Config, words ...string) {
	t.Helper()
	s, err := Open(ctx, c)
	if err == nil {
		s.Close()
		t.Errorf("the store opens, want a refusal with %q", words)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("got %q, want one sentence with %q", err, word)
		}
	}
}

func TestOpenWithoutASchema(t *testing.T) {
	t.Parallel()
	c := newSchema(t)
	c.Schema = "nothing_here"
	refusal(t, c, "nothing_here", "apnsbridge check --setup")
}

func TestOpenAnotherVersion(t *testing.T) {
	t.Parallel()
	c := newSchema(t)
	execute(t, c, "update meta set version = 99")
	refusal(t, c, "version 99", "use the program that made it")
	if err := Setup(ctx, c); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("Setup: got %v, want a refusal", err)
	}
	execute(t, c, "delete from meta")
	refusal(t, c, "apnsbridge check --setup")
}

// Several concurrent setups make one schema, and another one later changes nothing.
func TestSetupAgain(t *testing.T) {
	t.Parallel()
	c := newSchema(t)
	s := open(t, c)
	if err := s.Feedback().Record(ctx, "mail", store.Dead{Token: []byte{1}, Time: fromMillis(1)}); err != nil {
		t.Fatal(err)
	}
	fresh := c
	fresh.Schema += "_fresh"
	var setups sync.WaitGroup
	for range 4 {
		setups.Go(func() {
			if err := Setup(ctx, fresh); err != nil {
				t.Error(err)
			}
		})
	}
	setups.Wait()
	defer execute(t, c, "drop schema "+fresh.Schema+" cascade")
	if err := Setup(ctx, c); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Feedback().Pending(ctx, "mail", 0, 9); len(list) != 1 || err != nil {
		t.Errorf("got %v and error %v, want the entry that was there before", list, err)
	}
}

// A schema of an older version is refused until it is brought up to date, which keeps its contents.
func TestSetupOlder(t *testing.T) {
	c := newSchema(t)
	c.Schema += "_older"
	defer execute(t, c, "drop schema "+c.Schema+" cascade")
	all := migrations
	migrations = all[:1]
	err := Setup(ctx, c)
	migrations = all
	if err != nil {
		t.Fatal(err)
	}
	execute(t, c, "insert into feedback_app (app, turn) values ('mail', 7)")
	execute(t, c, "insert into app values ('mail', 'gw1', 3)")
	refusal(t, c, "version 1", "apnsbridge check --setup")
	if err := Setup(ctx, c); err != nil {
		t.Fatal(err)
	}
	open(t, c)
	waitFor(t, c, "select turn = 7 from feedback_app where app = 'mail'")
	for _, fence := range []string{"'mail', 'gw1', 3, 0", "'mail', 'gw1', 3" /* of a node that still runs */} {
		execute(t, c, "select fence("+fence+")")
	}
	waitFor(t, c, "select 'autovacuum_vacuum_cost_delay=0' = any(reloptions) from pg_class where oid = 'spool_log'::regclass")
}

// A server whose settings could lose what was acknowledged is refused.
func TestOpenUnsafeServer(t *testing.T) {
	c := newSchema(t)
	for setting, words := range map[string]string{"fsync": "fsync = off",
		"full_page_writes": "full_page_writes = off"} {
		execute(t, c, "alter system set "+setting+" = off")
		execute(t, c, "select pg_reload_conf()")
		waitFor(t, c, "select current_setting('"+setting+"') = 'off'")
		refusal(t, c, words)
		execute(t, c, "alter system reset "+setting)
		execute(t, c, "select pg_reload_conf()")
		waitFor(t, c, "select current_setting('"+setting+"') = 'on'")
	}
	if warnings := open(t, c).Warnings(); len(warnings) != 1 ||
		!strings.Contains(warnings[0], "synchronous_standby_names") {
		t.Errorf("got warnings %q, want one about standbys", warnings)
	}
}

func TestOpenConfig(t *testing.T) {
	for _, tt := range []struct {
		name  string
		c     Config
		words string
	}{
		{"a schema's name", Config{Schema: `x"; drop`, Node: "gw1"}, "small letters"},
		{"a node's name", Config{Node: strings.Repeat("n", 33)}, "32 bytes"},
		{"a colon in a node's name", Config{Node: "gw:1"}, "colon"},
		{"a URL", Config{URL: "postgres://u:secret@h:port/"}, "store.postgres.url"},
		{"nothing listens", Config{URL: "postgres://u:secret@127.0.0.1:1/d?connect_timeout=1"}, "cannot be reached"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(ctx, tt.c)
			if err == nil || !strings.Contains(err.Error(), tt.words) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %q and no secret", err, tt.words)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	s := open(t, newSchema(t))
	join(t, process(s), 1)
	s.Close()
	_, joining := s.Leases().Join(ctx, store.FleetNode{}, 1)
	_, claiming := s.Leases().Claim(ctx, "mail")
	_, revision := s.Feedback().Revision(ctx, "mail")
	for what, err := range map[string]error{
		"Join": joining, "Claim": claiming, "Revision": revision,
		"Record": s.Feedback().Record(ctx, "mail", store.Dead{Token: []byte{1}, Time: fromMillis(1)}),
		"Append": s.Ledger("mail", 1).Append(ctx),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: got %v, want %v", what, err, store.ErrClosed)
		}
	}
}
