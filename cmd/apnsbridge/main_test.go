package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"

	"apnsbridge/cmd/apnsbridge/servertest"
)

func TestMain(m *testing.M) {
	testscript.Main(servertest.Checked{M: m, PerProcessor: 8, InMemory: true}, map[string]func(){"apnsbridge": main})
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	sim := filepath.Join(t.TempDir(), "sim") // whose certificates are there: RSA keys are slow to make
	if err := servertest.PKI().Write(sim); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"nothing asked", nil, exitOK, "Usage: apnsbridge"},
		{"help", []string{"serve", "--help"}, exitOK, "apnsbridge serve --config apnsbridge.yaml"},
		{"help, asked by a word", []string{"help"}, exitOK, "Usage: apnsbridge <command>"},
		{"help of a command", []string{"help", "serve"}, exitOK, "Usage: apnsbridge serve"},
		{"help of one of a group", []string{"help", "spool", "list"}, exitOK, "Usage: apnsbridge spool list"},
		{"help of a group", []string{"spool", "help"}, exitOK, "Usage: apnsbridge spool <command>"},
		{"help of a command that there is not", []string{"help", "frobnicate"}, exitUsage, "frobnicate"},
		{"help where it is no command", []string{"serve", "help"}, exitUsage, "unexpected argument help"},
		{"version, asked by a flag", []string{"--version"}, exitOK, "apnsbridge devel"},
		{"modules, asked by a flag", []string{"--version", "--modules"}, exitOK, "github.com/alecthomas/kong"},
		{"unknown command", []string{"frobnicate"}, exitUsage, "frobnicate"},
		{"unknown flag", []string{"serve", "--frobnicate"}, exitUsage, "--frobnicate"},
		{"missing flag", []string{"certs"}, exitUsage, "--dir"},
		{"neither token nor file", []string{"send"}, exitUsage, "give either --token or --from"},
		{"token is not hex", []string{"send", "--token", "xyz"}, exitUsage, "--token"},
		{"expiry", []string{"send", "--token", "00", "--expiry", "soon"}, exitUsage, `--expiry "soon"`},
		{"no configuration", []string{"serve", "--config", "/nowhere.yaml"}, exitFailed, "/nowhere.yaml"},
		{"a rate below 0", []string{"send", "--token", "00", "--rate=-1"}, exitUsage, "--rate"},
		{"priority where there is none", []string{"send", "--token", "00", "--priority", "5"}, exitUsage,
			"--priority goes with --format frame"},
		{"priority that is none", []string{"send", "--token", "00", "--format", "frame", "--priority", "7"}, exitUsage,
			"--priority 7"},
		{"expiry where there is none", []string{"send", "--token", "00", "--format", "simple", "--expiry", "1h"}, exitUsage,
			"--expiry goes with"},
		{"no expiry where there must be one", []string{"send", "--token", "00", "--expiry", "none"}, exitUsage,
			"--expiry none"},
		{"a key without its certificate", []string{"send", "--token", "00", "--key", "k"}, exitUsage,
			"--key goes with --cert"},
		{"devices and a file", []string{"send", "--from", "-", "--devices", "5"}, exitUsage, "--devices"},
		{"nothing sent", []string{"send", "--gateway", "127.0.0.1:1", "--token", "00"}, exitFailed, "0 sent in"},
		{"no such notifications", []string{"send", "--from", "gone"}, exitFailed, "put the file there, or correct its name"},
		{"a folder of notifications", []string{"send", "--from", "testdata"}, exitFailed,
			"apnsbridge: --from: read testdata: is a directory: name a file in it\n"},
		{"no such scenario", []string{"sim", "--dir", sim, "--scenario", "gone"}, exitFailed,
			"put the file there, or correct its name"},
		{"a scenario that is none", []string{"sim", "--dir", sim, "--scenario", "testdata/demo.txt"}, exitFailed,
			"docs/simulator.md has what there is"},
		{"a folder for a configuration", []string{"check", "--config", "testdata"}, exitFailed,
			"the configuration testdata cannot be read: is a directory: name a file"},
		{"a gateway that does not run", []string{"send", "--gateway", "127.0.0.1:1", "--token", "00"}, exitFailed,
			"refused: start the gateway, or say where it listens"},
		{"no gateway", []string{"send", "--gateway", "127.0.0.1:1", "--token", "00"}, exitFailed,
			"cannot connect to 127.0.0.1:1: connection refused"},
		{"no certificate", []string{"feedback", "--cert", "/nowhere.pem"}, exitFailed, "/nowhere.pem"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			code := run(tt.args, streams{in: strings.NewReader(""), out: &out, err: &out})
			if code != tt.want || !strings.Contains(out.String(), tt.says) {
				t.Errorf("got exit code %d and %q, want %d and %q in it", code, out.String(), tt.want, tt.says)
			}
			if strings.Contains(out.String(), "goroutine ") {
				t.Error("the user sees a stack trace")
			}
		})
	}
}

// The help of every command has an example, which contains the command.
func TestHelp(t *testing.T) {
	eachCommand(model(t).Node, nil, func(words []string, node *kong.Node) {
		if !node.Leaf() && node.Detail == "" {
			return
		}
		var out bytes.Buffer
		command := strings.Join(words, " ")
		if code := run(append(words, "--help"), streams{out: &out, err: &out}); code != exitOK {
			t.Errorf("%s --help: exit code %d", command, code)
		}
		if !strings.Contains(out.String(), "Example:\n") || !strings.Contains(out.String(), "apnsbridge "+command) {
			t.Errorf("%s --help has no example: %s", command, out.String())
		}
	})
}

// Completions and the manual page have exactly the commands and flags that exist.
func TestManual(t *testing.T) {
	var page bytes.Buffer
	if code := run([]string{"man"}, streams{out: &page, err: &page}); code != exitOK {
		t.Errorf("man: exit code %d", code)
	}
	for _, want := range []string{"\n\\fBcheck [flags]\\fP",
		"Check a configuration and what it names\\&. Reads the configuration",
		"\n.SH EXAMPLES\napnsbridge ", "The authority's directory\\&. Default: pki\\&."} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the manual page has no %q", want)
		}
	}
	for _, args := range [][]string{{"completion", "bash"}, {"completion", "zsh"}, {"completion", "fish"}, {"man"}} {
		var out bytes.Buffer
		if code := run(args, streams{out: &out, err: &out}); code != exitOK {
			t.Errorf("%s: exit code %d, %.200s", args, code, out.String())
		}
		text := strings.ReplaceAll(out.String(), `\-`, "-")
		eachCommand(model(t).Node, nil, func(words []string, node *kong.Node) {
			for _, flag := range node.Flags {
				words = append(words, flag.Name)
			}
			for _, word := range words {
				if !strings.Contains(text, word) {
					t.Errorf("the output of %s has no %s of %s", args, word, node.FullPath())
				}
			}
		})
	}
}
