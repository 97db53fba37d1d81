package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

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

// patience is how long it may take to read a file that is none: a pipe.
const patience = 5 * time.Second

// ReadBounded reads a file of at most most bytes; the error is ErrTooLong for others.
// It does not wait for ever for what comes through a pipe.
func ReadBounded(path string, most int) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	file.SetReadDeadline(time.Now().Add(patience)) // which only a pipe has
	text, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	switch info, _ := file.Stat(); {
	case errors.Is(err, os.ErrDeadlineExceeded),
		err == nil && len(text) == 0 && info != nil && info.Mode()&os.ModeNamedPipe != 0:
		return nil, fmt.Errorf("%s is a pipe, and nothing comes through it: name a file", path)
	case err == nil && len(text) > most:
		err = ErrTooLong
	}
	return text, err
}

// ErrTooLong says that a file has more than it may.
var ErrTooLong = errors.New("the file is too long")

func readBounded(path string) ([]byte, error) {
	text, err := ReadBounded(path, mostBytes)
	if errors.Is(err, ErrTooLong) {
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
