package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// completionCases are what is typed, of which the last word is completed, and what it can become.
var completionCases = []struct {
	typed string
	want  []string
	files bool // the shell is to complete names of files
}{
	{typed: "ser", want: []string{"serve"}},
	{typed: "certs re", want: []string{"renew"}},
	{typed: "certs ", want: []string{"init", "server", "client", "renew"}},
	{typed: "certs --", want: []string{"--dir", "--topic"}},
	{typed: "certs init --", want: []string{"--dir", "--name", "--only"}},
	{typed: "certs renew --d", want: []string{"--dir", "--days"}},
	{typed: "check --con", want: []string{"--config", "--connect"}},
	{typed: "check --config x --js", want: []string{"--json"}},
	{typed: "check --config s", files: true},
	{typed: "completion ", want: []string{"bash", "fish", "zsh"}},
	{typed: "send --format ", want: []string{"simple", "enhanced", "frame"}},
	{typed: "init --environment by", want: []string{"by-listener"}},
	{typed: "spool import s", files: true},
}

// Each shell reads its script without a word, and completes commands, flags, their values and
// names of files with it.
func TestCompletion(t *testing.T) {
	const bash = `COMP_WORDS=({words}); COMP_CWORD={last}; _apnsbridge; printf '%s\n' "${COMPREPLY[@]}"`
	shells := []struct {
		name         string
		args         []string // before the program
		load, single string   // reads the file script; completes words, the last of which has the index last
		files        []string // what is printed where the shell completes names of files
	}{
		{"bash", []string{"-c"}, ". ./script", bash, nil},
		// As bashcompinit calls it, in the dialect that it sets.
		{"zsh", []string{"-f", "-c"}, "autoload -U compinit; compinit -D -u; . ./script; emulate sh; setopt kshglob noshglob",
			bash, nil},
		{"fish", []string{"--no-config", "-c"}, "source ./script", `set words {words}; complete -C "$words"`,
			[]string{"script"}},
	}
	for _, shell := range shells {
		t.Run(shell.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell.name); err != nil {
				t.Skip(err)
			}
			dir := t.TempDir()
			var script bytes.Buffer
			if code := run([]string{"completion", shell.name}, streams{out: &script, err: &script}); code != exitOK {
				t.Fatal(script.String())
			}
			if err := os.WriteFile(filepath.Join(dir, "script"), script.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			program := shell.load
			for _, tt := range completionCases {
				words := strings.Split("apnsbridge "+tt.typed, " ")
				typed := strings.NewReplacer("{words}", "'"+strings.Join(words, "' '")+"'", "{last}", strconv.Itoa(len(words)-1))
				program += "\n" + typed.Replace(shell.single) + "; echo ="
			}
			cmd := exec.Command(shell.name, append(shell.args, program)...)
			var complaints strings.Builder
			cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), "HOME="+dir, "LC_ALL=C"), &complaints
			out, err := cmd.Output()
			answers := strings.Split(string(out), "=\n")
			if err != nil || complaints.Len() > 0 || len(answers) != len(completionCases)+1 {
				t.Fatalf("%v: %d answers to %d questions\n%s", err, len(answers)-1, len(completionCases), complaints.String())
			}
			for i, tt := range completionCases {
				var got []string
				for line := range strings.Lines(answers[i]) {
					word, _, _ := strings.Cut(strings.TrimSpace(line), "\t") // fish puts the help behind a tabulator
					// zsh itself leaves out what begins otherwise.
					if word != "" && word != "--help" && strings.HasPrefix(word, tt.typed[strings.LastIndex(tt.typed, " ")+1:]) {
						got = append(got, word)
					}
				}
				want := tt.want
				if tt.files {
					want = shell.files
				}
				if want = slices.Sorted(slices.Values(want)); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
					t.Errorf("%s: got %q, want %q", tt.typed, got, want)
				}
			}
		})
	}
}
