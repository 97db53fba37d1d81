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

// The bounds of a configuration file. Tokens are counted before the library parses them,
// because its parser takes a second and a gigabyte for 40 KB of brackets.
const (
	mostBytes  = 4 << 20
	mostDepth  = 50
	mostValues = 100_000 // in all files together, counting what every alias stands for
)

// patience is how long it may take to read from a pipe in place of a file.
const patience = 5 * time.Second

// ReadBounded reads a file of at most most bytes; the error for a longer one is ErrTooLong.
// It does not wait for ever for a pipe.
func ReadBounded(path string, most int) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	file.SetReadDeadline(time.Now().Add(patience)) // fails for anything but a pipe
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

// ErrTooLong is the error for a file that is longer than it may be.
var ErrTooLong = errors.New("the file is too long")

func readBounded(path string) ([]byte, error) {
	text, err := ReadBounded(path, mostBytes)
	if errors.Is(err, ErrTooLong) {
		err = errTooLong
	}
	return text, err
}

var errTooLong = fmt.Errorf("the file is longer than %d MiB: is it a configuration?", mostBytes>>20)

// scan returns the tokens of text. It stops with a Problem at the first one beyond the bounds.
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
			return tokens, nil // the parser's message is better
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

// depth counts how deeply a token is nested: in brackets, and in lists and keys by their
// indentation.
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
