package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// A Problem is one thing wrong with a configuration file, with its remedy.
type Problem struct {
	File string
	Line int
	Text string
}

// Error is FILE:LINE: TEXT.
func (p Problem) Error() string {
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Load reads the configuration file at path. Its error joins a Problem for
// each thing that is wrong, as far as they can be told at one time.
func Load(path string) (*Config, error) {
	text, err := readBounded(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no configuration file %s: name one with --config, or start from the example in README.md", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return parse(path, text, os.LookupEnv)
}

func parse(path string, text []byte, lookup func(string) (string, bool)) (*Config, error) {
	config := Default()
	config.file = path
	file, err := parseBounded(path, text)
	if err != nil {
		return nil, err
	}
	s := source{file: path, lookup: lookup, lines: make(map[string]int)}
	if len(file.Docs) > 1 {
		second := Problem{File: path, Line: 1, Text: "a second document begins here: keep to one"}
		if start := file.Docs[1].Start; start != nil {
			second.Line = start.Position.Line
		}
		return nil, second
	}
	if node := body(file); node != nil {
		s.visit(node, "")
		if len(s.problems) > 0 {
			return nil, errors.Join(s.problems...)
		}
		if err := decode(node, config); err != nil {
			return nil, problemIn(path, err)
		}
	}
	config.secrets = s.secrets
	config.validate(&s)
	if len(s.problems) > 0 {
		return nil, errors.Join(s.problems...)
	}
	return config, nil
}

// body is the one document of the file, nil if it says nothing.
func body(file *ast.File) ast.Node {
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.CommentType {
		return nil
	}
	return file.Docs[0].Body
}

func decode(node ast.Node, v any) error {
	return yaml.NewDecoder(bytes.NewReader(nil), yaml.Strict()).DecodeFromNode(node, v)
}

// problemIn takes the line out of one of the YAML library's errors.
func problemIn(path string, err error) error {
	p := Problem{File: path, Line: 1, Text: err.Error()}
	var unknown *yaml.UnknownFieldError
	var located yaml.Error
	if errors.As(err, &located) {
		p.Text = located.GetMessage()
		if t := located.GetToken(); t != nil {
			p.Line = t.Position.Line
			if errors.As(err, &unknown) {
				p.Text = fmt.Sprintf("unknown key %q: correct its name or remove it", shown(t.Value))
			}
		}
	}
	if IsKeyText(p.Text) || len(p.Text) > mostText {
		p.Text = "this is no YAML: is a value without its quotes?"
	}
	return p
}

// mostText is the longest that the YAML library may say of a file.
const mostText = 300

// source is the file as text: where each value stands, and what is wrong.
type source struct {
	file     string
	lookup   func(string) (string, bool)
	lines    map[string]int // by path: apps.mail.clients[0].sha256
	secrets  []string       // paths of those that the file has in the clear
	problems []error
}

// reject notes a problem with the value at path, or with the nearest one above
// it that the file has.
func (s *source) reject(path, format string, args ...any) {
	line := 1
	for at := path; at != ""; at = parent(at) {
		if n, ok := s.lines[at]; ok {
			line = n
			break
		}
	}
	s.problems = append(s.problems, Problem{File: s.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

func parent(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '.' || path[i] == '[' {
			return path[:i]
		}
	}
	return ""
}

// visit notes the line of everything below node and replaces ${NAME} in values.
func (s *source) visit(node ast.Node, path string) {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, value := range n.Values {
			s.visit(value, path)
		}
	case *ast.MappingValueNode:
		key := n.Key.GetToken()
		path = join(path, key.Value)
		s.lines[path] = key.Position.Line
		s.visit(n.Value, path)
	case *ast.SequenceNode:
		for i, value := range n.Values {
			element := path + "[" + strconv.Itoa(i) + "]"
			s.lines[element] = value.GetToken().Position.Line
			s.visit(value, element)
		}
	case *ast.LiteralNode:
		s.visit(n.Value, path)
	case *ast.StringNode:
		s.noteSecret(path, n.Value)
		n.Value = s.expand(n.Value, path)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

var variable = regexp.MustCompile(`\$\{[^}]*\}`)

func (s *source) expand(value, path string) string {
	return variable.ReplaceAllStringFunc(value, func(reference string) string {
		name := reference[2 : len(reference)-1]
		text, ok := s.lookup(name)
		if !ok {
			s.reject(path, "the environment variable %s is not set: set it, or write the value here", name)
		}
		return text
	})
}
