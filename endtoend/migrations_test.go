package endtoend

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// senders run the blocks of docs/migrations.md, by their language.
var senders = map[string]struct {
	command []string // run with the path of a file that has the block
	begin   string   // comes before the block in that file
}{
	"php":    {command: []string{"php"}, begin: "<?php\n"},
	"js":     {command: []string{"node", "--no-deprecation"}},
	"ruby":   {command: []string{"ruby"}},
	"python": {command: []string{"python3"}},
	"perl":   {command: []string{"perl"}},
	"erlang": {command: []string{"escript"}, begin: "#!/usr/bin/env escript\n"},
	"sh":     {command: []string{"sh", "-e"}, begin: "java() { :; }\n"}, // there is no provider.jar to run
	"csharp": {command: []string{"dotnet-script"}},
}

// The programs of docs/migrations.md send what they say, with the files shown there.
func TestMigrations(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/migrations.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, apnssim.Scenario{})
	w.Write("push.pem", append(bytes.Clone(servertest.PKI().Client.CertPEM), servertest.PKI().Client.KeyPEM...))
	_, port, _ := strings.Cut(w.Push, ":")
	here := strings.NewReplacer("push.example.com", "localhost", "2195", port)
	blocks := regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```").FindAllSubmatch(document, -1)
	if len(blocks) != len(senders) {
		t.Errorf("docs/migrations.md has %d programs, %d can be run", len(blocks), len(senders))
	}
	for i, block := range blocks {
		language, text := string(block[1]), here.Replace(string(block[2]))
		t.Run(language, func(t *testing.T) {
			sender, ok := senders[language]
			if !ok {
				t.Fatalf("nothing runs a block of %s", language)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			file := w.Write("send."+language, []byte(sender.begin+text))
			cmd := exec.CommandContext(ctx, servertest.Foreign(t, sender.command[0]), append(sender.command[1:], file)...)
			token := fmt.Sprintf("%064x", 0x5e00+i)
			cmd.Dir, cmd.Env = w.Dir, append(os.Environ(), "TOKEN="+token)
			switch language {
			case "js":
				servertest.Foreign(t, "npm")
				modules, err := apnVersions[latestAPN]()
				if err != nil {
					t.Skip(err)
				}
				cmd.Env = append(cmd.Env, "NODE_PATH="+filepath.Join(modules, "node_modules"))
			case "perl":
				if exec.Command(cmd.Path, "-MIO::Socket::SSL", "-e1").Run() != nil {
					t.Skip("there is no IO::Socket::SSL on this machine")
				}
			case "sh":
				servertest.Foreign(t, "keytool")
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if language != "sh" {
				w.waitForGreeting(t, token, regexp.MustCompile("Hello from [A-Z][A-Za-z]*").FindString(text))
			}
		})
	}
}

// waitForGreeting waits for the push to a device, and fails if it says anything else.
func (w *world) waitForGreeting(t *testing.T, token, greeting string) {
	t.Helper()
	var payload []byte
	servertest.WaitFor(t, "the push", func() bool {
		for _, p := range w.Sim.Received(0).Pushes {
			if p.Token == token {
				payload = p.Payload
			}
		}
		return payload != nil
	})
	if greeting == "" || !bytes.Contains(payload, []byte(`"`+greeting+`"`)) {
		t.Errorf("APNs was given %s, want %q", payload, greeting)
	}
}
