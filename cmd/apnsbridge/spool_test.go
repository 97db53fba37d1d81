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

// spoolPlace is a configuration and a directory with a spool.
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

// put has n notifications wait in a queue.
func (p *spoolPlace) put(queue string, n int, size int, expires time.Time) {
	p.t.Helper()
	s, err := boltstore.Open(p.dir, boltstore.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	defer s.Close()
	batch := store.SpoolBatch{Queue: queue, Records: make([]store.SpoolRecord, n)}
	for i := range batch.Records {
		batch.Records[i] = store.SpoolRecord{Token: []byte("token"), Body: make([]byte, size), Expires: expires}
	}
	if err := s.Spool().Put(p.t.Context(), batch); err != nil {
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

// want runs a spool command that must end so, and say these and nothing on the
// other stream.
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
		p.t.Errorf("%q: got %q, want a line", args, text)
	}
}

func TestSpoolList(t *testing.T) {
	p := newSpoolPlace(t)
	p.want(exitOK, []string{"list"}, "no notifications wait\n")
	p.want(exitOK, []string{"list", "--json"})
	if _, err := os.Stat(p.dir); err == nil {
		t.Error("looking has made a store")
	}
	expires := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	p.put("mail/production", 3, 100, time.Time{})
	p.put("mail/sandbox", 2, 100, expires)
	p.put("news/production", 1, 100, time.Time{})
	p.want(exitOK, []string{"list"}, "APP    ENVIRONMENT   RECORDS", "mail   production    3 ", "mail   sandbox       2 ", "news   production    1 ", expires.Format(time.RFC3339), "never")
	p.want(exitOK, []string{"list", "--app", "mail", "--json"}, `{"app":"mail","environment":"production","records":3,`, fmt.Sprintf(`"expires":%d}`, expires.Unix()))
	for app, want := range map[string]int{"mail": 2, "mail/sandbox": 1, "mail/other": 0, "mai": 0} {
		if _, got, _ := p.run("list", "--json", "--app", app); strings.Count(got, "\n") != want {
			t.Errorf("--app %s: got %q, want %d lines", app, got, want)
		}
	}
}

func TestSpoolPurge(t *testing.T) {
	p := newSpoolPlace(t)
	p.want(exitFailed, []string{"purge", "--yes"}, "there is no spool in "+p.dir)
	p.put("mail/production", 3, 100, time.Time{})
	p.put("news/production", 4, 100, time.Time{})
	p.want(exitUsage, []string{"purge", "--app", "mail"}, "mail   production    3 ")
	p.want(exitOK, []string{"purge", "--app", "mail", "--yes"}, "mail/production: 3 notifications are thrown away\n")
	p.want(exitOK, []string{"purge", "--app", "mail", "--yes"}, "no notifications wait")
	p.want(exitOK, []string{"list"}, "news   production    4 ")
	p.want(exitOK, []string{"purge", "--yes"}, "news/production: 4 notifications are thrown away\n")
	p.want(exitOK, []string{"list"}, "no notifications wait")
}

func TestSpoolCompact(t *testing.T) {
	p := newSpoolPlace(t)
	p.want(exitFailed, []string{"compact"}, "there is no spool in "+p.dir)
	p.put("mail/production", 2000, 1000, time.Time{})
	p.put("news/production", 1, 100, time.Time{})
	p.want(exitOK, []string{"purge", "--app", "mail", "--yes"})
	p.want(exitOK, []string{"compact"}, "spool.db had ")
	if info, err := os.Stat(filepath.Join(p.dir, "spool.db")); err != nil || info.Size() > 1<<20 {
		t.Errorf("got %v and error %v, want less than 1 MiB", info, err)
	}
	p.want(exitOK, []string{"list"}, "news   production    1 ")
}

// A file that is damaged is set aside by the gateway, and then imported.
func TestSpoolImport(t *testing.T) {
	p := newSpoolPlace(t)
	p.put("mail/production", 1500, 1000, time.Time{})
	p.put("mail/production", 10, 1000, time.Now().Add(-time.Minute))
	file := filepath.Join(p.dir, "spool.db")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[:8192])
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	p.want(exitFailed, []string{"list"}, file+" is damaged", "start the gateway, which sets it aside")
	p.put("news/production", 2000, 1000, time.Time{})
	kept, err := filepath.Glob(file + ".damaged-*")
	if err != nil || len(kept) != 1 {
		t.Fatalf("got %q set aside and error %v, want 1", kept, err)
	}
	p.want(exitFailed, []string{"import", file}, file+" is the spool itself")
	p.want(exitFailed, []string{"import", file + "x"}, "no such file")
	p.want(exitFailed, []string{"import", p.config}, "no notification that can be recognised")
	p.want(exitFailed, []string{"import", filepath.Join(p.dir, "feedback.db")}, "lists of dead devices")
	p.want(exitOK, []string{"list"}, "news   production    2000 ")

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
	p.want(exitOK, []string{"import", kept[0]}, "1500 notifications are imported\n1500 of these may have been delivered before", "\n10 have expired\n", "there may have been more")
	p.want(exitFailed, []string{"import", kept[0]}, "no such file")
	p.want(exitOK, []string{"list"}, "mail   production    1500 ", "news   production    2000 ")
	if _, err := os.Stat(kept[0] + ".imported"); err != nil {
		t.Error(err)
	}
}

// While a gateway runs a sentence says what to do.
func TestSpoolInUse(t *testing.T) {
	p := newSpoolPlace(t)
	s, err := boltstore.Open(p.dir, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, args := range [][]string{{"list"}, {"purge", "--yes"}, {"import", p.config}, {"compact"}} {
		p.want(exitFailed, args, "spool.db is in use by another process: stop the gateway that runs, and do this again")
	}
}

// Every command's help has an example.
func TestSpoolHelp(t *testing.T) {
	for _, command := range []string{"list", "purge", "import", "compact"} {
		var out bytes.Buffer
		if code := run([]string{"spool", command, "--help"}, streams{out: &out, err: &out}); code != exitOK {
			t.Errorf("%s --help: exit code %d", command, code)
		}
		if !strings.Contains(out.String(), " apnsbridge spool "+command+" --config ") {
			t.Errorf("%s --help has no example: %s", command, out.String())
		}
	}
}
