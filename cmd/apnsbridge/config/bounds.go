package config

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// What a configuration file may be. The library's parser takes a second and a
// gigabyte for 40 KB of brackets, so that its tokens are counted first.
const (
	mostBytes = 4 << 20
	mostDepth = 50
	mostNodes = 100_000 // also when every alias is followed
)

// readBounded reads a file of at most mostBytes.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, mostBytes+1))
	if err == nil && len(text) > mostBytes {
		err = fmt.Errorf("%s is longer than %d MiB: is it a configuration?", path, mostBytes>>20)
	}
	return text, err
}

// parseBounded parses what is neither too deep nor too large.
func parseBounded(path string, text []byte) (*ast.File, error) {
	tokens, err := scan(path, string(text))
	if err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, problemIn(path, err)
	}
	w := weights{path: path, anchors: make(map[string]int)}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			w.weigh(doc.Body)
		}
	}
	return file, w.err
}

// scan gives the tokens of text, and stops at the first that is one too many.
func scan(path, text string) (token.Tokens, error) {
	var tokens token.Tokens
	var s scanner.Scanner
	s.Init(text)
	var depth depth
	nodes := 0
	for {
		some, err := s.Scan()
		if err == io.EOF {
			return tokens, nil
		}
		for _, t := range some {
			if isNode(t.Type) {
				nodes++
			}
			tokens.Add(t)
			switch {
			case nodes > mostNodes:
				return nil, Problem{File: path, Line: t.Position.Line, Text: fmt.Sprintf("the file has more than %d values: is it a configuration?", mostNodes)}
			case depth.at(t) > mostDepth:
				return nil, Problem{File: path, Line: t.Position.Line, Text: fmt.Sprintf("values are nested more than %d deep: is this a configuration?", mostDepth)}
			}
		}
		if err != nil {
			return tokens, nil // the parser says it better
		}
	}
}

func isNode(t token.Type) bool {
	switch t {
	case token.CollectEntryType, token.MappingValueType, token.MappingEndType, token.SequenceEndType, token.CommentType:
		return false
	}
	return true
}

// depth counts how deep a token is: brackets within each other, and lists and
// keys that stand further and further to the right.
type depth struct {
	flow    int
	columns []int
}

func (d *depth) at(t *token.Token) int {
	switch t.Type {
	case token.MappingStartType, token.SequenceStartType:
		d.flow++
	case token.MappingEndType, token.SequenceEndType:
		d.flow = max(0, d.flow-1)
	case token.SequenceEntryType, token.MappingKeyType:
		d.indent(t.Position.Column)
	case token.MappingValueType:
		if t.Prev != nil {
			d.indent(t.Prev.Position.Column)
		}
	}
	return d.flow + len(d.columns)
}

func (d *depth) indent(column int) {
	if d.flow > 0 {
		return
	}
	for len(d.columns) > 0 && d.columns[len(d.columns)-1] >= column {
		d.columns = d.columns[:len(d.columns)-1]
	}
	d.columns = append(d.columns, column)
}

// weights counts nodes as whoever follows every alias meets them.
type weights struct {
	path    string
	anchors map[string]int // by name
	err     error
}

var errOverweight = fmt.Errorf("with every alias followed the file has more than %d values: write out what is meant", mostNodes)

func (w *weights) weigh(node ast.Node) (n int) {
	if w.err != nil || node == nil {
		return 0
	}
	n = 1
	switch v := node.(type) {
	case *ast.MappingNode:
		for _, value := range v.Values {
			n += w.weigh(value)
		}
	case *ast.MappingValueNode:
		n += w.weigh(v.Value)
	case *ast.SequenceNode:
		for _, value := range v.Values {
			n += w.weigh(value)
		}
	case *ast.TagNode:
		n += w.weigh(v.Value)
	case *ast.AnchorNode:
		n += w.weigh(v.Value)
		w.anchors[v.Name.GetToken().Value] = n
	case *ast.AliasNode:
		weight, known := w.anchors[v.Value.GetToken().Value]
		if !known {
			w.refuse(node, errors.New("this alias has no anchor before it: write out what is meant"))
		}
		n += weight
	}
	if n > mostNodes {
		w.refuse(node, errOverweight)
	}
	return n
}

func (w *weights) refuse(node ast.Node, err error) {
	if w.err == nil {
		w.err = Problem{File: w.path, Line: node.GetToken().Position.Line, Text: err.Error()}
	}
}
