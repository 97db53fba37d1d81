package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// spoolPlace is a configuration with its store.
type spoolPlace struct {
	t           *testing.T
	config, dir string
}

func newSpoolPlace(t *testing.T) *spoolPlace {
	t.Helper()
	dir := t.TempDir()
	p := &spoolPlace{t: t, config: filepath.Join(dir, "apnsbridge.yaml"), dir: filepath.Join(dir, "data")}
	text := `tls: {certificate: server.pem, key: server-key.pem}
spool: {max_bytes: 4MiB}
apps:
  mail: {topic: com.example.mail, credential: {token: {key: a.p8, key_id: A, team_id: B}}, clients: [{cidr: 127.0.0.1/32}]}
`
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *spoolPlace) open() *boltstore.Spool {
	p.t.Helper()
	s, err := boltstore.OpenSpool(p.dir, boltstore.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// put puts n notifications of an app in an environment into the spool, in a device's queue
// or in the log.
func (p *spoolPlace) put(app, environment string, queued bool, n int, expires time.Time) {
	p.t.Helper()
	s := p.open()
	defer s.Close()
	batch := store.SpoolBatch{Line: store.Line{App: app, Environment: environment}, Records: make([]store.SpoolRecord, n)}
	for i := range batch.Records {
		batch.Records[i] = store.SpoolRecord{SpoolKey: store.SpoolKey{Token: []byte("token"), Queued: queued},
			Body: make([]byte, 1000)}
		if !expires.IsZero() {
			batch.Records[i].Expires = expires.Unix()
		}
	}
	if err := s.Put(p.t.Context(), batch); err != nil {
		p.t.Fatal(err)
	}
}

// run runs a spool command.
func (p *spoolPlace) run(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	args = append([]string{"spool", args[0], "--config", p.config}, args[1:]...)
	code = run(args, streams{in: strings.NewReader(""), out: &out, err: &err})
	return code, out.String(), err.String()
}

// want runs a spool command, which must end with code, print all of says, and print nothing
// to the other stream.
func (p *spoolPlace) want(code int, args []string, says ...string) {
	p.t.Helper()
	got, stdout, stderr := p.run(args...)
	text, rest := stdout, stderr
	if code == exitFailed {
		text, rest = stderr, stdout
	}
	if got != code || rest != "" && code != exitUsage {
		p.t.Errorf("%q: got exit code %d, %q and %q, want %d", args, got, stdout, stderr, code)
	}
	for _, s := range says {
		if !strings.Contains(text, s) {
			p.t.Errorf("%q: got %q, want %q in it", args, text, s)
		}
	}
	if code == exitFailed && strings.Count(text, "\n") != 1 {
		p.t.Errorf("%q: got %q, want a single line", args, text)
	}
}

func TestSpoolList(t *testing.T) {
	t.Parallel()
	p := newSpoolPlace(t)
	p.want(exitOK, []string{"list"}, "no notifications wait\n")
	p.want(exitOK, []string{"list", "--json"})
	if _, err := os.Stat(p.dir); err == nil {
		t.Error("list has created a store")
	}
	before := time.Now()
	p.put("mail", "production", false, 3, time.Time{})
	p.put("mail", "production", true, 4, time.Time{})
	p.put("mail", "sandbox", false, 2, time.Time{})
	p.put("news", "production", false, 1, time.Time{})
	p.want(exitOK, []string{"list"}, "APP    ENVIRONMENT   TOPIC          RECORDS   QUEUED",
		"mail   production    (configured)   7         4 ",
		"mail   sandbox       (configured)   2         0 ", "news   production    (configured)   1         0 ", before.UTC().Format("2006-01-02T15:"))
	p.want(exitOK, []string{"list", "--app", "mail", "--json"},
		`{"app":"mail","environment":"production","topic":"","records":7,"queued":4,"bytes":`)
	for app, want := range map[string]int{"mail": 2, "mail/sandbox": 1, "mail/other": 0, "mai": 0} {
		if _, got, _ := p.run("list", "--json", "--app", app); strings.Count(got, "\n") != want {
			t.Errorf("--app %s: got %q, want %d lines", app, got, want)
		}
	}
}

func TestSpoolPurge(t *testing.T) {
	t.Parallel()
	p := newSpoolPlace(t)
	p.want(exitFailed, []string{"purge", "--yes"}, "there is no spool in "+p.dir)
	p.put("mail", "production", false, 3, time.Time{})
	p.put("mail", "production", true, 2, time.Time{})
	p.put("news", "production", false, 4, time.Time{})
	p.want(exitUsage, []string{"purge", "--app", "mail"}, "mail   production    (configured)   5 ")
	p.want(exitOK, []string{"purge", "--app", "mail", "--yes"},
		"mail/production, topic (configured): 5 notifications are thrown away\n")
	p.want(exitOK, []string{"purge", "--app", "mail", "--yes"}, "no notifications of mail wait, but some of news/production\n")
	p.want(exitOK, []string{"list"}, "news   production    (configured)   4 ")
	p.want(exitOK, []string{"purge", "--yes"}, "news/production, topic (configured): 4 notifications are thrown away\n")
	p.want(exitOK, []string{"list"}, "no notifications wait")
}

// The notifications of an app that has been renamed are moved to its new name, even if the spool
// is full.
func TestSpoolMove(t *testing.T) {
	t.Parallel()
	p := newSpoolPlace(t)
	p.want(exitFailed, []string{"move", "old", "new"}, `has no app "new"`)
	p.want(exitFailed, []string{"move", "mail", "mail"}, "is the app itself")
	p.want(exitFailed, []string{"move", "old", "mail"}, "there is no spool in "+p.dir)
	p.put("mail", "production", false, 2, time.Time{})
	p.put("old", "production", false, 2000, time.Time{})
	p.put("old", "production", true, 1500, time.Time{})
	p.put("old", "sandbox", false, 1, time.Time{})
	p.put("old/sandbox", "sandbox", false, 5, time.Time{})
	p.want(exitOK, []string{"move", "old", "mail"}, "3,501 notifications of old are mail's now\n")
	p.want(exitOK, []string{"list"}, "mail          production    (configured)   3,502     1,500 ",
		"mail          sandbox       (configured)   1 ", "old/sandbox   sandbox       (configured)   5 ")
	p.want(exitOK, []string{"list", "--app", "old"}, "no notifications of old wait, but some of mail/production, ")
	p.want(exitOK, []string{"move", "old", "mail"}, "0 notifications of old are mail's now\n")
}

// The gateway sets a damaged file aside, from which the notifications can then be imported.
func TestSpoolImport(t *testing.T) {
	t.Parallel()
	p := newSpoolPlace(t)
	p.put("mail", "production", true, 1500, time.Time{})
	p.put("mail", "production", true, 10, time.Now().Add(-time.Minute))
	file := filepath.Join(p.dir, "spool", "queues.db")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[:8192])
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	p.want(exitFailed, []string{"list"}, file+" is damaged", "start the gateway, which sets it aside")
	p.put("news", "production", false, 2000, time.Time{})
	kept, err := filepath.Glob(file + ".damaged-*")
	if err != nil || len(kept) != 1 {
		t.Fatalf("got %q set aside and error %v, want 1", kept, err)
	}
	p.want(exitFailed, []string{"import", file}, file+" is of the spool itself")
	p.want(exitFailed, []string{"import", file + "x"}, "no such file")
	p.want(exitFailed, []string{"import", p.config}, "no notification that can be recognised")

	yaml, err := os.ReadFile(p.config)
	if err != nil {
		t.Fatal(err)
	}
	small := bytes.Replace(yaml, []byte("4MiB"), []byte("3MiB"), 1)
	if err := os.WriteFile(p.config, small, 0o600); err != nil {
		t.Fatal(err)
	}
	p.want(exitFailed, []string{"import", kept[0]}, "the spool is full", "raise spool.max_bytes, which is 3145728")
	if err := os.WriteFile(p.config, yaml, 0o600); err != nil {
		t.Fatal(err)
	}
	p.want(exitOK, []string{"list", "--app", "mail"}, "no notifications of mail wait, but some of news/production\n")
	p.want(exitOK, []string{"import", kept[0]}, " notifications are imported\n", "of these may have been delivered before",
		"\n10 have expired\n")
	p.want(exitFailed, []string{"import", kept[0]}, "no such file")
	p.want(exitOK, []string{"list"}, "mail   production    (configured)   1,500     1,500 ",
		"news   production    (configured)   2,000 ")
	if _, err := os.Stat(kept[0] + ".imported"); err != nil {
		t.Error(err)
	}
}

// If the file of queues is good enough to tell which records are in use, those that were done do
// not come back.
func TestSpoolImportSure(t *testing.T) {
	t.Parallel()
	p := newSpoolPlace(t)
	p.put("mail", "production", true, 1500, time.Time{})
	p.want(exitOK, []string{"purge", "--yes"}, "1,500")
	p.put("news", "sandbox", true, 3, time.Time{})
	copied := filepath.Join(t.TempDir(), "queues.db")
	b, err := os.ReadFile(filepath.Join(p.dir, "spool", "queues.db"))
	if err == nil {
		err = os.WriteFile(copied, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.want(exitOK, []string{"import", copied}, "3 notifications are imported\n")
	p.want(exitOK, []string{"list"}, "news   sandbox       (configured)   6         6 ")
}

// While a gateway runs, waiting notifications can be listed; the other commands fail and say
// what to do.
func TestSpoolInUse(t *testing.T) {
	t.Parallel()
	p := newSpoolPlace(t)
	s := p.open()
	t.Cleanup(func() { s.Close() })
	l := store.Line{App: "mail", Environment: "production"}
	batch := store.SpoolBatch{Line: l, Records: []store.SpoolRecord{{}, {}, {}}}
	if err := s.Put(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	for { // until the spool has published what waits
		if stats, _, err := boltstore.SpoolBeside(p.dir); err == nil && len(stats.Lines) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.want(exitOK, []string{"list"}, "mail   production    (configured)   3 ")
	for _, args := range [][]string{{"purge", "--yes"}, {"import", p.config}, {"move", "old", "mail"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel() // each waits for a while whether the gateway lets go of its store
			own := *p
			own.t = t
			own.want(exitFailed, args, "queues.db is in use by another process: stop the gateway that runs, and do this again")
		})
	}
}

// The help of every command has an example.
func TestSpoolHelp(t *testing.T) {
	for _, command := range []string{"list", "purge", "move", "import"} {
		var out bytes.Buffer
		if code := run([]string{"spool", command, "--help"}, streams{out: &out, err: &out}); code != exitOK {
			t.Errorf("%s --help: exit code %d", command, code)
		}
		if !strings.Contains(out.String(), fmt.Sprintf(" apnsbridge spool %s --config ", command)) {
			t.Errorf("%s --help has no example: %s", command, out.String())
		}
	}
}
