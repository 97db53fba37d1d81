package main

import (
	"io"
	"strings"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	"github.com/muesli/roff"
)

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
