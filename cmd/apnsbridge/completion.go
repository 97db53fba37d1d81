package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is the command's example.
func (completionCommand) Help() string {
	return `Prints what makes a shell complete the commands and flags.

Example:

  apnsbridge completion bash > /etc/bash_completion.d/apnsbridge
  apnsbridge completion fish > ~/.config/fish/completions/apnsbridge.fish`
}

// Run prints the script.
func (c completionCommand) Run(model *kong.Application, std streams) error {
	if c.Shell == "fish" {
		printFish(std.out, model)
		return nil
	}
	if c.Shell == "bash" {
		printBash(std.out, model)
		return nil
	}
	fmt.Fprint(std.out, "#compdef apnsbridge\nautoload -U +X bashcompinit && bashcompinit\n")
	printBash(std.out, model)
	// From fpath it is loaded at the first completion, which it has to answer.
	fmt.Fprint(std.out, "[ \"$funcstack[1]\" != _apnsbridge ] || _bash_complete -o default -F _apnsbridge\n")
	return nil
}

// eachCommand calls do for each command with the words that lead to it, the
// program itself first.
func eachCommand(node *kong.Node, words []string, do func(words []string, node *kong.Node)) {
	do(words, node)
	for _, child := range node.Children {
		if !child.Hidden {
			eachCommand(child, append(words[:len(words):len(words)], child.Name), do)
		}
	}
}

// A completion is a word that can follow a command, with its help.
type completion struct {
	word, help string
	flag       *kong.Flag // the flag that the word is, nil for others
}

// completions are what can follow a command: its commands and its flags, and
// those of the hidden one that it stands for, and the values of its arguments.
func completions(node *kong.Node) (all []completion) {
	for _, child := range node.Children {
		if child.Hidden {
			all = append(all, completions(child)...)
			continue
		}
		all = append(all, completion{word: child.Name, help: child.Help})
	}
	for _, flag := range node.Flags {
		if !flag.Hidden {
			all = append(all, completion{"--" + flag.Name, flag.Help, flag})
		}
	}
	for _, value := range node.Positional {
		for _, word := range choices(value) {
			all = append(all, completion{word: word})
		}
	}
	return all
}

// choices are the values that a flag or an argument can have, nil if they are not counted.
func choices(value *kong.Value) []string {
	if value.Enum == "" {
		return nil
	}
	return value.EnumSlice()
}

// place is how the scripts name a command: the words that lead to it, each behind a space.
func place(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return " " + strings.Join(words, " ")
}

// printBash prints the script for bash, which is zsh's too: there neither "path" nor "words" must
// be the name of a variable. Where it completes nothing, the shell completes names of files.
func printBash(out io.Writer, model *kong.Application) {
	fmt.Fprint(out, `_apnsbridge() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} place= i
  # bash takes --flag=value apart.
  [[ $before != "=" ]] || before=${COMP_WORDS[COMP_CWORD-2]}
  [[ $word != "=" ]] || word=
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$place ${COMP_WORDS[i]}" in
`)
	eachCommand(model.Node, nil, func(words []string, _ *kong.Node) {
		if len(words) > 0 {
			fmt.Fprintf(out, "      %q) place=%[1]q ;;\n", place(words))
		}
	})
	fmt.Fprint(out, "    esac\n  done\n  COMPREPLY=()\n  case \"$place $before\" in\n")
	eachCommand(model.Node, nil, func(words []string, node *kong.Node) {
		for _, c := range completions(node) {
			if c.flag != nil && !c.flag.IsBool() {
				at := place(append(words[:len(words):len(words)], c.word))
				fmt.Fprintf(out, "    %q) COMPREPLY=($(compgen -W %q -- \"$word\")); return ;;\n", at,
					strings.Join(choices(c.flag.Value), " "))
			}
		}
	})
	fmt.Fprint(out, "  esac\n  local others= flags=\n  case $place in\n")
	eachCommand(model.Node, nil, func(path []string, node *kong.Node) {
		var others, flags []string
		for _, c := range completions(node) {
			if c.flag != nil {
				flags = append(flags, c.word)
			} else {
				others = append(others, c.word)
			}
		}
		if len(node.Positional) == 0 && others == nil {
			others = flags // there is nothing else that could follow
		}
		fmt.Fprintf(out, "    %q) others=%q flags=%q ;;\n", place(path), strings.Join(others, " "), strings.Join(flags, " "))
	})
	fmt.Fprint(out, `  esac
  [[ $word != -* ]] || others=$flags
  COMPREPLY=($(compgen -W "$others" -- "$word"))
}
complete -o default -F _apnsbridge apnsbridge
`)
}

// printFish prints the script for fish, which shows the help of each word beside it.
func printFish(out io.Writer, model *kong.Application) {
	fmt.Fprint(out, `function __apnsbridge_at
  set -l place
  for word in (commandline -opc)[2..]
    switch "$place $word"
      case `)
	eachCommand(model.Node, nil, func(words []string, _ *kong.Node) {
		if len(words) > 0 {
			fmt.Fprintf(out, "'%s' ", place(words))
		}
	})
	fmt.Fprint(out, `
        set place "$place $word"
    end
  end
  test "$place" = "$argv"
end
complete -c apnsbridge -f
`)
	eachCommand(model.Node, nil, func(words []string, node *kong.Node) {
		for _, c := range completions(node) {
			kind := "-a " + c.word
			if c.flag != nil {
				kind = "-l " + c.flag.Name
				if values := choices(c.flag.Value); values != nil {
					kind += fmt.Sprintf(" -x -a %q", strings.Join(values, " "))
				} else if !c.flag.IsBool() {
					kind += " -r -F"
				}
			}
			help := strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(c.help)
			fmt.Fprintf(out, "complete -c apnsbridge -n \"__apnsbridge_at '%s'\" %s -d '%s'\n", place(words), kind, help)
		}
		if slices.ContainsFunc(node.Positional, func(v *kong.Value) bool { return v.Name == "file" }) {
			fmt.Fprintf(out, "complete -c apnsbridge -n \"__apnsbridge_at '%s'\" -F\n", place(words))
		}
	})
}
