package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// beginner is a user in an empty folder who has only the program, and does what it
// prints.
type beginner struct {
	t   *testing.T
	dir string
	env []string
}

func newBeginner(t *testing.T) *beginner {
	b := &beginner{t: t, dir: t.TempDir()}
	program := servertest.Called(t, "apnsbridge").Path
	b.env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	return b
}

func (b *beginner) command(ctx context.Context, line string) (*exec.Cmd, *servertest.Buffer) {
	out := new(servertest.Buffer)
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+line)
	if strings.Contains(line, "&&") {
		cmd = exec.CommandContext(ctx, "sh", "-c", line)
	}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.dir, b.env, out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd, out
}

// start runs a command line in the background until the end of the test.
func (b *beginner) start(line, ready string) *servertest.Buffer {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd, out := b.command(ctx, line)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		cancel()
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.As(err, &exit) {
			b.t.Errorf("%s: %v\n%s", line, err, out)
		}
	})
	servertest.WaitFor(b.t, line+": "+ready, func() bool { return strings.Contains(out.String(), ready) })
	return out
}

// init asks for what no flag gives, reads what it can from files, and replaces no file.
func TestInit(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := servertest.PKI().Write("apple"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename("apple/AuthKey_DEVELOPER.p8", "apple/AuthKey_ABC123DEFG.p8"); err != nil {
		t.Fatal(err)
	}
	both := append(bytes.Clone(servertest.PKI().Client.CertPEM), servertest.PKI().Client.KeyPEM...)
	if err := os.WriteFile("apple/push.pem", both, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, answers string
		args          []string
		code          int
		says          string
		writes        string
	}{
		{"everything asked", "apple/AuthKey_ABC123DEFG.p8\nDEF123GHIJ\ncom.example.mail\n", nil, exitOK, "is written",
			"key_id: ABC123DEFG, team_id: DEF123GHIJ"},
		{"a certificate, asked", "apple/push.pem\n", nil, exitOK, "is written", "topic: com.example.demo"},
		{"a certificate", "", []string{"--certificate", "apple/push.pem"}, exitOK, "is written",
			"certificate: {file: apple/push.pem}"},
		{"a pin", "", []string{"--certificate", "apple/push.pem", "--pin", "apple/client.pem"}, exitOK, "is written",
			"sha256: "},
		{"addresses", "", []string{"--certificate", "apple/push.pem", "--cidr", "10.0.0.0/8"}, exitOK, "is written",
			"{cidr: '10.0.0.0/8'}"},
		{"an environment", "", []string{"--certificate", "apple/push.pem", "--environment", "by-listener"}, exitOK,
			"is written", "environment: by-listener"},
		{"nothing answered", "", nil, exitUsage, "--key or --certificate", ""},
		{"half answered", "apple/AuthKey_ABC123DEFG.p8\n", nil, exitUsage, "--team-id", ""},
		{"two credentials", "", []string{"--key", "a", "--certificate", "b"}, exitUsage, "exclude each other", ""},
		{"no such certificate", "", []string{"--certificate", "gone.p12"}, exitFailed, "gone.p12", ""},
		{"no certificate", "", []string{"--certificate", "apple/ca.pem"}, exitFailed, "without its private key", ""},
		{"nothing answered, by Apple's name", "", nil, exitUsage, "the .p8 of Apple's developer site", ""},
		{"names of two words", "", []string{"--certificate", "apple/push.pem", "--app", "my mail", "--pki", "my pki"}, exitOK,
			"--app 'my mail' --cert 'my pki/", "'my mail':"},
		{"a topic with a slash", "", []string{"--topic", "../x", "--certificate", "apple/push.pem"}, exitFailed, "slash", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := strings.ReplaceAll(tt.name, " ", "-") + ".yaml"
			var out bytes.Buffer
			code := run(append([]string{"init", "--config", file}, tt.args...),
				streams{in: strings.NewReader(tt.answers), out: &out, err: &out})
			text, _ := os.ReadFile(file)
			if code != tt.code || !strings.Contains(out.String(), tt.says) || !strings.Contains(string(text), tt.writes) ||
				(len(text) > 0) != (code == exitOK) {
				t.Errorf("exit code %d\n%s\n%s", code, out.String(), text)
			}
			if code != exitOK {
				return
			}
			if code := run([]string{"init", "--config", file, "--certificate", "apple/push.pem"},
				streams{in: strings.NewReader(""), out: &out, err: &out}); code != exitFailed {
				t.Errorf("a second init: exit code %d", code)
			}
			if again, _ := os.ReadFile(file); !bytes.Equal(again, text) {
				t.Error("the configuration was replaced")
			}
		})
	}
}

// checkFrame fails the test unless the command writes one simple frame with JSON, and
// nothing after it. With a frame that is too short the gateway would wait for ever.
func (b *beginner) checkFrame(command string) {
	b.t.Helper()
	const head, token = 3, 32
	frame, err := exec.CommandContext(b.t.Context(), "bash", "-c", command).Output()
	if err != nil || len(frame) < head+token+2 {
		b.t.Fatalf("%s: %v, %x", command, err, frame)
	}
	length, payload := int(binary.BigEndian.Uint16(frame[head+token:])), frame[head+token+2:]
	if length != len(payload) || !json.Valid(payload) {
		b.t.Errorf("%s: the frame announces %d bytes and has %d: %q", command, length, len(payload), payload)
	}
}

// Each line that demo --stay prints can be pasted into a shell.
func TestDemoCommands(t *testing.T) {
	t.Parallel()
	b := newBeginner(t)
	out := b.start("apnsbridge demo --stay", "curl http")
	_, commands, ok := strings.Cut(out.String(), "To try:\n\n")
	if !ok {
		t.Fatalf("demo prints nothing to try:\n%s", out)
	}
	tried := 0
	for line := range strings.Lines(commands) {
		line, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "  ")
		if !ok {
			continue
		}
		if dir, ok := strings.CutPrefix(line, "cd "); ok {
			b.dir = dir
			continue
		}
		program := strings.Fields(line)[0]
		for _, needed := range []string{"openssl", "php"} {
			if strings.Contains(line, "; "+needed+" ") || strings.Contains(line, "| "+needed+" ") {
				program = needed
			}
		}
		if _, err := exec.LookPath(program); err != nil && program != "apnsbridge" {
			t.Logf("%s is not installed", program)
			continue
		}
		tried++
		if frame, _, ok := strings.Cut(line, " | openssl "); ok {
			b.checkFrame(frame)
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
		cmd.Dir, cmd.Env = b.dir, b.env
		if text, err := cmd.CombinedOutput(); err != nil &&
			!bytes.Contains(text, []byte("1 of 1 notifications were refused")) {
			t.Errorf("%s: %v\n%s", line, err, text)
		}
	}
	if tried < 4 {
		t.Errorf("only %d commands were tried:\n%s", tried, commands)
	}
	// Ten notifications of demo itself, and one each of send, openssl and PHP.
	address := regexp.MustCompile(`http://\S+/metrics`).FindString(commands)
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	accepted := regexp.MustCompile(`apnsbridge_notifications_total\{app="demo",environment="production",outcome="accepted",reason=""\} (\d+)`).FindSubmatch(text)
	want := "13"
	for _, program := range []string{"openssl", "php"} {
		if _, err := exec.LookPath(program); err != nil {
			want = ""
		}
	}
	if accepted == nil || want != "" && string(accepted[1]) != want {
		t.Errorf("got %s accepted notifications, want %s", accepted, want)
	}
}
