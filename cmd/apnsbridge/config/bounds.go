package config

import (
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// What a configuration file may be. The library's parser takes a second and a
// gigabyte for 40 KB of brackets, so that its tokens are counted first.
const (
	mostBytes  = 4 << 20
	mostDepth  = 50
	mostValues = 100_000 // of all files together, also when every alias is followed
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
		err = errTooLong
	}
	return text, err
}

var errTooLong = fmt.Errorf("the file is longer than %d MiB: is it a configuration?", mostBytes>>20)

// scan gives the tokens of text, and stops at the first that is one too many.
func scan(path, text string) (token.Tokens, *Problem) {
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
			case nodes > mostValues:
				return nil, &Problem{path, t.Position.Line, fmt.Sprintf("the file has more than %d values: is it a "+
					"configuration?", mostValues)}
			case depth.at(t) > mostDepth:
				return nil, &Problem{path, t.Position.Line, fmt.Sprintf("values are nested more than %d deep: is this "+
					"a configuration?", mostDepth)}
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
