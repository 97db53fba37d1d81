package config

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

var (
	byteOrderMark = []byte("\xef\xbb\xbf")
	utf16Marks    = [][]byte{{0xff, 0xfe}, {0xfe, 0xff}}
)

// document is one YAML file: its lines as they are in the file, and its tree.
type document struct {
	file      string
	lines     []string
	variables []string // what the placeholders in the parser's text stand for
	body      ast.Node // nil if the file is empty
	values    int      // in the body
	aliases   map[*ast.AliasNode]ast.Node
}

// parseDocument parses the text of a file. It returns a Problem if the text is not YAML, or
// is larger than a configuration can be.
func parseDocument(file string, text []byte) (*document, *Problem) {
	d := &document{file: file}
	for _, mark := range utf16Marks {
		if bytes.HasPrefix(text, mark) {
			return d, &Problem{file, 1, "the file is saved as UTF-16 (\"Unicode\"): save it as UTF-8"}
		}
	}
	text = bytes.TrimPrefix(text, byteOrderMark)
	d.lines = strings.Split(string(text), "\n")
	for i, line := range d.lines {
		if remark := unreadable(line); remark != "" {
			return d, &Problem{file, i + 1, remark}
		}
	}
	tokens, problem := scan(file, d.shield(string(text)))
	if problem != nil {
		return d, problem
	}
	parsed, err := parser.Parse(tokens, parser.ParseComments, parser.AllowDuplicateMapKey())
	if err != nil {
		return d, d.syntaxProblem(err)
	}
	return d, d.takeBody(parsed)
}

// takeBody takes the tree of the file's only document.
func (d *document) takeBody(parsed *ast.File) *Problem {
	for _, doc := range parsed.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.DirectiveType:
		case d.body != nil:
			line := doc.Body.GetToken().Position.Line
			if doc.Start != nil {
				line = doc.Start.Position.Line
			}
			return &Problem{d.file, line, "a second document begins here: keep to one"}
		default:
			d.body = doc.Body
		}
	}
	if d.body == nil {
		return nil
	}
	found, weight := findAliases(d.file, d.body)
	d.values, d.aliases = weight, found.targets
	return found.problem
}

// unreadable returns a sentence about characters that editors and web pages leave in a line
// and that are not what they look like to YAML, "" if there are none.
func unreadable(line string) string {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t\u00a0"))]
	switch {
	case !utf8.ValidString(line):
		return "the line is not UTF-8: save the file as UTF-8"
	case strings.ContainsRune(line, placeholder):
		return "the line has the character U+E000, which configurations cannot have: remove it"
	case strings.Contains(indent, "\t") && strings.TrimSpace(line) != "":
		return "the line begins with a tab, and YAML wants blanks: replace the tab with blanks"
	case strings.Contains(indent, "\u00a0"):
		return "the line begins with no-break spaces, as web pages have them: replace them with blanks"
	}
	return ""
}

var keyOfLine = regexp.MustCompile(`^[\s-]*["']?([\w.-]+)["']?\s*:(?:\s|$)`)

// syntaxProblem puts the parser's error into our words.
func (d *document) syntaxProblem(err error) *Problem {
	p := &Problem{d.file, 1, "this is no YAML: compare the lines here with the example in README.md"}
	var located yaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil {
		return p
	}
	p.Line = min(max(located.GetToken().Position.Line, 1), len(d.lines))
	message := located.GetMessage()
	if strings.Contains(message, "must be specified") {
		p.Line = d.unclosed(p.Line)
	}
	line := d.lines[p.Line-1]
	value := "the value"
	if len(line) <= longestLine {
		if m := keyOfLine.FindStringSubmatch(line); m != nil {
			value = "the value of " + Clip(m[1])
		}
	}
	for _, known := range syntaxMistakes {
		if strings.Contains(message, known.message) {
			p.Text = strings.ReplaceAll(known.text, "{value}", value)
			return p
		}
	}
	p.Text = "YAML cannot read the line: put " + value +
		" in quotes if it has characters like : # { } [ ] & * ! | > % @, and see that what belongs together " +
		"begins in the same column"
	return p
}

var opening = regexp.MustCompile(`^[\s-]*[\w.-]+\s*:\s+[\[{]`)

// longestLine is how long a line may be, in bytes, for a message to name its key.
const longestLine = 4 << 10

// unclosed returns the line in which a list or mapping begins that is not closed by the given
// line.
func (d *document) unclosed(line int) int {
	for n := line; n > 0; n-- {
		text := d.lines[n-1]
		if !opening.MatchString(text) {
			continue
		}
		if strings.Count(text, "[")+strings.Count(text, "{") > strings.Count(text, "]")+strings.Count(text, "}") {
			return n
		}
		break
	}
	return line
}

// syntaxMistakes has, for a part of each of the parser's messages, our own message.
var syntaxMistakes = []struct{ message, text string }{
	{"mapping value is not allowed", "{value} has a colon and a blank in it, or the next line is indented too far: " +
		"put the value in quotes, or begin both lines in the same column"},
	{"value is not allowed in this context", "something stands behind {value}, or the line is indented unlike " +
		"its neighbours: " +
		"put the whole value in quotes, or begin the lines in the same column"},
	{"double-quoted text", "{value} begins with \" and does not end with it: add the missing quote"},
	{"single-quoted text", "{value} begins with ' and does not end with it: add the missing quote, and write ' " +
		"twice inside"},
	{"unknown escape character", "{value} has a backslash between double quotes: use single quotes, where it " +
		"is a backslash"},
	{"sequence end token", "a list begins with [ and does not end: add the ], or put {value} in quotes if it " +
		"begins with ["},
	{"must be specified", "a comma, ] or } is missing here: add it, or put {value} in quotes if it begins with [ or {"},
	{"map end token", "a mapping begins with { and does not end: add the }, or put {value} in quotes if it begins with {"},
	{"is a reserved character", "{value} begins with a character that YAML keeps for itself: put the value in quotes"},
	{"directive", "{value} begins with %: put the value in quotes"},
	{"anchor", "{value} begins with &, which has a meaning in YAML: put the value in quotes"},
	{"alias", "{value} begins with *, which has a meaning in YAML: put the value in quotes"},
	{"invalid header option", "{value} begins with | or >, which have a meaning in YAML: put the value in quotes"},
	{"block sequence entries", "{value} begins with - and a blank, as an entry of a list: put the value in " +
		"quotes, or begin a new line"},
	{"cannot start any token", "there is a tab where YAML wants blanks: replace it with blanks"},
	{"tab character", "there is a tab where YAML wants blanks: replace it with blanks"},
}
