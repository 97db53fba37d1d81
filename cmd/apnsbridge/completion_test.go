package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each shell reads its script without a word, and completes commands, flags and values with it.
func TestCompletion(t *testing.T) {
	shells := map[string]func(script, dir string, words []string) *exec.Cmd{
		"bash": func(script, dir string, words []string) *exec.Cmd {
			return exec.Command("bash", "-c", fmt.Sprintf(". %s; cd %s; COMP_WORDS=(%s); COMP_CWORD=%d; _apnsbridge; "+
				`printf '%%s\n' "${COMPREPLY[@]}"`, script, dir, quoted(words), len(words)-1))
		},
		// As bashcompinit calls it, in the dialect that it sets.
		"zsh": func(script, dir string, words []string) *exec.Cmd {
			return exec.Command("zsh", "-f", "-c", fmt.Sprintf("autoload -U compinit; compinit -D -u; . %s; cd %s; "+
				"try() { emulate -L sh; setopt kshglob noshglob braceexpand; COMP_WORDS=(%s); COMP_CWORD=%d; _apnsbridge; "+
				`printf '%%s\n' "${COMPREPLY[@]}"; }; try`, script, dir, quoted(words), len(words)-1))
		},
		"fish": func(script, dir string, words []string) *exec.Cmd {
			return exec.Command("fish", "--no-config", "-c", fmt.Sprintf("source %s; cd %s; complete -C '%s'",
				script, dir, strings.Join(words, " ")))
		},
	}
	for shell, command := range shells {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skip(err)
			}
			var text bytes.Buffer
			if code := run([]string{"completion", shell}, streams{out: &text, err: &text}); code != exitOK {
				t.Fatal(text.String())
			}
			dir := t.TempDir()
			script := filepath.Join(dir, "script")
			if err := os.WriteFile(script, text.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			files := []string{} // what the shell adds itself, where the script has nothing to offer
			if shell == "fish" {
				files = []string{"script"}
			}
			for _, tt := range []struct {
				words string // the last is the one to complete
				want  []string
			}{
				{"ser", []string{"serve"}},
				{"certs re", []string{"renew"}},
				{"certs ", []string{"init", "server", "client", "renew"}},
				{"certs renew --d", []string{"--dir", "--days"}},
				{"certs --", []string{"--dir", "--topic"}},
				{"certs init --", []string{"--dir", "--name", "--only"}},
				{"check --con", []string{"--config", "--connect"}},
				{"check --config x --js", []string{"--json"}},
				{"check --config s", files},
				{"completion ", []string{"bash", "fish", "zsh"}},
				{"send --format ", []string{"simple", "enhanced", "frame"}},
				{"init --environment by", []string{"by-listener"}},
				{"spool import s", files},
			} {
				cmd := command(script, dir, append([]string{"apnsbridge"}, strings.Split(tt.words, " ")...))
				cmd.Env = append(os.Environ(), "HOME="+dir)
				out, err := cmd.CombinedOutput()
				got, begins := []string{}, tt.words[strings.LastIndex(tt.words, " ")+1:]
				for line := range strings.Lines(string(out)) {
					word, _, _ := strings.Cut(strings.TrimSpace(line), "\t") // fish puts the help behind a tabulator
					// zsh itself leaves out what begins otherwise.
					if word != "" && word != "--help" && strings.HasPrefix(word, begins) {
						got = append(got, word)
					}
				}
				slices.Sort(got)
				slices.Sort(tt.want)
				if err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("%s: got %q and %v, want %q", tt.words, got, err, tt.want)
				}
			}
		})
	}
}

// quoted are words for a shell's array.
func quoted(words []string) string { return "'" + strings.Join(words, "' '") + "'" }
