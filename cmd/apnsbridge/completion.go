package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	"github.com/muesli/roff"
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
	if c.Shell == "zsh" {
		fmt.Fprint(std.out, "#compdef apnsbridge\nautoload -U +X bashcompinit && bashcompinit\n")
	}
	printBash(std.out, model)
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

// completions are what can follow a command: its commands and its flags, and
// those of the hidden one that it stands for.
func completions(node *kong.Node) (all []string) {
	for _, child := range node.Children {
		if child.Hidden {
			all = append(all, completions(child)...)
			continue
		}
		all = append(all, child.Name)
	}
	for _, flag := range node.Flags {
		if !flag.Hidden {
			all = append(all, "--"+flag.Name)
		}
	}
	for _, value := range node.Positional {
		all = append(all, value.EnumSlice()...)
	}
	return all
}

func printBash(out io.Writer, model *kong.Application) {
	fmt.Fprint(out, `_apnsbridge() {
  local word=${COMP_WORDS[COMP_CWORD]} path= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in -*) ;; *) case "$path ${COMP_WORDS[i]}" in
`)
	eachCommand(model.Node, nil, func(words []string, _ *kong.Node) {
		if len(words) > 0 {
			fmt.Fprintf(out, "      %q) path=%[1]q ;;\n", " "+strings.Join(words, " "))
		}
	})
	fmt.Fprint(out, "    esac ;; esac\n  done\n  case $path in\n")
	eachCommand(model.Node, nil, func(words []string, node *kong.Node) {
		path := ""
		if len(words) > 0 {
			path = " " + strings.Join(words, " ")
		}
		fmt.Fprintf(out, "    %q) COMPREPLY=($(compgen -W %q -- \"$word\")) ;;\n", path, strings.Join(completions(node), " "))
	})
	fmt.Fprint(out, "  esac\n}\ncomplete -o default -F _apnsbridge apnsbridge\n")
}

func printFish(out io.Writer, model *kong.Application) {
	eachCommand(model.Node, nil, func(words []string, node *kong.Node) {
		condition := "__fish_use_subcommand"
		if len(words) > 0 {
			var seen []string
			for _, word := range words {
				seen = append(seen, "__fish_seen_subcommand_from "+word)
			}
			condition = strings.Join(seen, "; and ")
		}
		for _, word := range completions(node) {
			kind := "-a " + word
			if flag, ok := strings.CutPrefix(word, "--"); ok {
				kind = "-l " + flag
			}
			fmt.Fprintf(out, "complete -c apnsbridge -n %q %s\n", condition, kind)
		}
	})
}

type manCommand struct{}

// Help is the command's example.
func (manCommand) Help() string {
	return `Prints the manual page, for man.

Example:

  apnsbridge man > /usr/local/share/man/man1/apnsbridge.1`
}

// Run prints the page.
func (manCommand) Run(model *kong.Application, std streams) error {
	root, examples := forPage(model.Node)
	root.Help = "gateway for Apple's binary push interface" // it stands above each page, too
	page := mangokong.NewManPage(1, &kong.Application{Node: root}).WithLongDescription(model.Help)
	page = page.WithSection("Examples", strings.Join(examples, "\n"))
	_, err := io.WriteString(std.out, page.Build(roff.NewDocument()))
	return err
}

// forPage is a command as the manual page wants it, which flows its text itself: what
// it does in one paragraph, and its examples apart.
func forPage(node *kong.Node) (page *kong.Node, examples []string) {
	copied := *node
	page = &copied
	page.Children, page.Flags, page.Detail = nil, nil, ""
	for _, flag := range node.Flags {
		shown, value := *flag, *flag.Value
		value.Help, shown.Value = helpWithDefault(flag.Value), &value
		page.Flags = append(page.Flags, &shown)
	}
	text, example, _ := strings.Cut(node.Detail, "Example:\n")
	page.Help = strings.Join(append(strings.Fields(node.Help), strings.Fields(text)...), " ")
	for line := range strings.Lines(example) {
		if line = strings.TrimSpace(line); line != "" {
			examples = append(examples, line)
		}
	}
	for _, child := range node.Children {
		if !child.Hidden {
			child, further := forPage(child)
			page.Children, examples = append(page.Children, child), append(examples, further...)
		}
	}
	return page, examples
}
