package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"os"

	"apnsbridge/binproto"
)

// noteSource is where send gets its notifications from: one again and again, or
// a file of them.
type noteSource struct {
	template binproto.Notification
	count    int // 0: until the lines end

	name  string
	lines io.Reader // nil: the template is all there is
	file  *os.File
	err   error // why the lines ended early
}

// Close closes the file, if there is one.
func (s *noteSource) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// notes yields the notifications. What they point to is borrowed until the next.
func (s *noteSource) notes() iter.Seq[binproto.Notification] {
	if s.lines == nil {
		return func(yield func(binproto.Notification) bool) {
			for range s.count {
				if !yield(s.template) {
					return
				}
			}
		}
	}
	return func(yield func(binproto.Notification) bool) {
		scanner := bufio.NewScanner(s.lines)
		scanner.Buffer(nil, 1<<20)
		for number := 1; (s.count == 0 || number <= s.count) && scanner.Scan(); number++ {
			n, err := s.parseLine(scanner.Bytes())
			if err != nil {
				s.err = fmt.Errorf("%s:%d: %w", s.name, number, err)
				return
			}
			if !yield(n) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			s.err = fmt.Errorf("%s: %w", s.name, err)
		}
	}
}

func (s *noteSource) parseLine(line []byte) (binproto.Notification, error) {
	n := s.template
	token, payload, given := bytes.Cut(line, []byte{' '})
	if given {
		n.Payload = payload
	}
	n.Token = make([]byte, hex.DecodedLen(len(token)))
	if _, err := hex.Decode(n.Token, token); err != nil {
		return n, fmt.Errorf("the line does not begin with a device token in hex: %w", err)
	}
	return n, nil
}
