package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"apnsbridge/binproto"
)

// noteSource is where send gets its notifications from: one again and again, or
// a file of them.
type noteSource struct {
	template binproto.Notification
	count    int // 0: until the lines end
	devices  int // above 1: the template's goes to so many devices in turn

	name  string
	lines io.Reader // nil: the template is all there is
	file  *os.File
	err   error // why the lines ended early
}

// numberedToken is the token of one of many devices: its last four bytes say which.
func numberedToken(token []byte, device int) []byte {
	token = bytes.Clone(token)
	binary.BigEndian.PutUint32(token[len(token)-4:], uint32(device))
	return token
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
			for i := range s.count {
				n := s.template
				if s.devices > 1 {
					n.Token = numberedToken(n.Token, i%s.devices)
				}
				if !yield(n) {
					return
				}
			}
		}
	}
	return func(yield func(binproto.Notification) bool) {
		scanner := bufio.NewScanner(s.lines)
		scanner.Buffer(nil, 1<<20)
		taken := 0
		for number := 1; (s.count == 0 || taken < s.count) && scanner.Scan(); number++ {
			line := bytes.TrimLeft(bytes.TrimPrefix(scanner.Bytes(), []byte("\xef\xbb\xbf")), " \t")
			if len(bytes.TrimSpace(line)) == 0 || line[0] == '#' {
				continue
			}
			n, err := s.parseLine(line)
			if err != nil {
				s.err = fmt.Errorf("%s:%d: %w", s.name, number, err)
				return
			}
			if taken++; !yield(n) {
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
	end := bytes.IndexAny(line, " \t")
	if line[0] == '<' { // as NSData describes itself, with blanks inside
		end = bytes.IndexByte(line, '>') + 1
	}
	if end <= 0 {
		end = len(line)
	}
	payload := line[end:]
	if len(payload) > 0 && (payload[0] == ' ' || payload[0] == '\t') {
		payload = payload[1:]
	}
	if len(bytes.TrimSpace(payload)) > 0 {
		n.Payload = payload // as it is: blanks are bytes too
	}
	var err error
	if n.Token, err = parseToken(string(line[:end])); err != nil {
		return n, fmt.Errorf("the line does not begin with a device token: %w", err)
	}
	return n, nil
}

// parseToken reads a device token in hex, or as iOS has long printed them:
// <01234567 89abcdef …>.
func parseToken(text string) ([]byte, error) {
	digits := strings.NewReplacer("<", "", ">", "", " ", "").Replace(text)
	token, err := hex.DecodeString(digits)
	switch {
	case len(token) == 0 && err == nil:
		return nil, errors.New("it is empty: give it in hex, 64 digits as a rule")
	case err != nil:
		return nil, fmt.Errorf("%.20q is not hex: give it as hexadecimal digits, 64 as a rule", text)
	}
	return token, nil
}
