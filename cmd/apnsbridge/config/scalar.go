package config

import (
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// text returns the value of a scalar exactly as written, with its variables replaced. It
// notes a problem if YAML would change the value.
func (s *source) text(node ast.Node, comment *ast.CommentGroupNode, path string, kind fieldKind) (string, bool) {
	key := leaf(path)
	var raw string
	switch n := node.(type) {
	case *ast.NullNode:
		if n.GetToken().Type != token.ImplicitNullType {
			s.reject(path, "%s is %s, YAML's word for nothing: put it in quotes, or remove the key", key, n.GetToken().Value)
			return "", false
		}
		if comment != nil {
			s.reject(path, "%s is empty, for a # behind a blank begins a comment: put the value in quotes, or remove "+
				"the key", key)
			return "", false
		}
		s.reject(path, "%s is empty: give it a value, in quotes if it begins with !, or remove the key", key)
		return "", false
	case *ast.StringNode:
		raw = n.Value
	case *ast.LiteralNode:
		if raw = strings.TrimRight(n.Value.Value, "\n"); raw == "" {
			s.reject(path, "%s begins with | or >, which have a meaning in YAML: put the value in quotes", key)
			return "", false
		}
	case *ast.MappingNode:
		s.reject(path, "%s takes one value, and here stand keys of their own%s: write the value behind %[1]s:, in "+
			"quotes if it begins with {", key, nested(n))
		return "", false
	case *ast.SequenceNode:
		s.reject(path, "%s takes one value, and here stands a list: write the value behind %[1]s:, in quotes if "+
			"it begins with [", key)
		return "", false
	default:
		raw = n.GetToken().Value
	}
	plain := isPlain(node)
	switch {
	case plain && strings.Contains(strings.TrimSpace(node.GetToken().Origin), "\n"):
		s.reject(path, "%s goes on in the next line: put its value in one line", key)
		return "", false
	case plain && kind.secret && comment != nil:
		s.reject(path, "behind %s, which has no quotes, stands a comment: put the value in quotes, so that it is "+
			"clear where it ends", key)
		return "", false
	}
	s.noteSecret(path, raw, kind)
	value, problem := s.doc.expand(raw, s.lookup)
	if problem != "" {
		if kind.secret && strings.Contains(problem, "is no variable") {
			problem = key + " has ${…} with what is no name of a variable: write $${ for the text itself"
		}
		s.reject(path, "%s", problem)
		return "", false
	}
	if kind.file || kind.key {
		return s.fileName(value, path, kind.key)
	}
	return value, true
}

// nested names the first key of a mapping that is in place of a value.
func nested(n *ast.MappingNode) string {
	if len(n.Values) == 0 {
		return ""
	}
	return " (" + Clip(n.Values[0].Key.GetToken().Value) + ")"
}

// isPlain reports whether a scalar is written without quotes.
func isPlain(node ast.Node) bool {
	switch node.GetToken().Type {
	case token.SingleQuoteType, token.DoubleQuoteType, token.LiteralType, token.FoldedType:
		return false
	}
	return true
}

// setBool accepts the words that people write.
func (s *source) setBool(v reflect.Value, text, path string) {
	switch strings.ToLower(text) {
	case "true", "yes", "on":
		v.SetBool(true)
	case "false", "no", "off":
		v.SetBool(false)
	default:
		s.reject(path, "%q is neither yes nor no: write true or false", Clip(text))
	}
}
