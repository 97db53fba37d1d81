package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// model returns kong's model of the command line.
func model(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := kong.New(&commands{}, kong.Name("apnsbridge"))
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

var (
	// invocation matches a place where apnsbridge is run, with its arguments.
	invocation = regexp.MustCompile(`(?:^|[=(] ?|&& |\| |; |do |until )(?:\S*/|go run \./cmd/)?apnsbridge ([a-z][^&|;#)]*)`)
	flagName   = regexp.MustCompile(`(?:^|[\s\[])--([a-z][a-z-]*)`)
)

// flagsOf returns the flags that can follow a command.
func flagsOf(node *kong.Node) (all []string) {
	for _, c := range completions(node) {
		if c.flag != nil {
			all = append(all, c.word)
		}
	}
	return all
}

// mistake returns what the words after apnsbridge name that does not exist.
func mistake(model *kong.Application, words string) string {
	node := model.Node
	for word := range strings.FieldsSeq(words) {
		i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == word })
		if i < 0 {
			if node == model.Node {
				return "there is no command " + word
			}
			break
		}
		node = node.Children[i]
	}
	for _, found := range flagName.FindAllStringSubmatch(words, -1) {
		if found[1] != "help" && !slices.Contains(flagsOf(node), "--"+found[1]) {
			return node.FullPath() + " has no --" + found[1]
		}
	}
	return ""
}

// shown returns the lines of code in a document; of other files it returns all lines.
func shown(name, text string) (all []string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	code := filepath.Ext(name) != ".md"
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(strings.TrimSpace(line), "# ")
		switch {
		case strings.HasPrefix(line, "```"):
			code = !code
		case code:
			all = append(all, strings.NewReplacer(`"`, "", ",", "", "'", "").Replace(line))
		default:
			for i, span := range strings.Split(line, "`") {
				if i%2 == 1 {
					all = append(all, span)
				}
			}
		}
	}
	return all
}

// Commands and flags that documents, units, packages and help mention exist.
func TestDocumentedCommands(t *testing.T) {
	model := model(t)
	texts := make(map[string]string)
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		if err == nil && entry.IsDir() && (name == ".git" || name == "release") {
			return fs.SkipDir
		}
		kind := filepath.Ext(name)
		packaged := strings.Contains(filepath.ToSlash(path), "cmd/apnsbridge/packaging/") && kind != ".go"
		if err != nil || entry.IsDir() || kind != ".md" && name != "Dockerfile" && !packaged {
			return err
		}
		text, err := os.ReadFile(path)
		texts[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	eachCommand(model.Node, nil, func(words []string, node *kong.Node) {
		_, example, _ := strings.Cut(node.Detail, "Example:\n")
		texts["help of "+strings.Join(words, " ")] = example
	})
	var flags []string
	eachCommand(model.Node, nil, func(_ []string, node *kong.Node) { flags = append(flags, flagsOf(node)...) })
	invocations := 0
	for name, text := range texts {
		for _, line := range shown(name, text) {
			for _, found := range invocation.FindAllStringSubmatch(line, -1) {
				invocations++
				if problem := mistake(model, found[1]); problem != "" {
					t.Errorf("%s: %s: %s", name, line, problem)
				}
			}
			if strings.HasPrefix(line, "--") && strings.HasSuffix(name, ".md") {
				if flag, _, _ := strings.Cut(line, " "); !slices.Contains(flags, flag) {
					t.Errorf("%s: no command has %s", name, flag)
				}
			}
		}
	}
	if invocations < 80 {
		t.Errorf("found %d invocations of apnsbridge, want at least 80", invocations)
	}
}

// The README, or a document that it links to, shows each command.
func TestCommandsAreDocumented(t *testing.T) {
	var all bytes.Buffer
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	eachCommand(model(t).Node, nil, func(words []string, node *kong.Node) {
		if command := strings.Join(words, " "); node.Leaf() && !strings.Contains(all.String(), "apnsbridge "+command) {
			t.Errorf("no document shows apnsbridge %s", command)
		}
	})
}
