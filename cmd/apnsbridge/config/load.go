package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
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

// Load reads the configuration file at path, and those that it includes. Its
// error joins a Problem for each thing that is wrong.
func Load(path string) (*Config, error) {
	text, err := readMain(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text, os.LookupEnv)
}

// Parse is Load of a text that is not yet in its file.
func Parse(path string, text []byte) (*Config, error) { return parse(path, text, os.LookupEnv) }

// LoadAdmin reads what it takes to ask the gateway that runs: Admin, and the names
// of Apps, are to be believed. A mistake elsewhere is no reason not to ask, nor a
// variable that only the gateway's environment has.
func LoadAdmin(path string) (*Config, error) {
	text, err := readMain(path)
	if err != nil {
		return nil, err
	}
	config, s := read(path, text, os.LookupEnv)
	within := func(path string) bool { return path == "admin" || strings.HasPrefix(path, "admin.") }
	if s.broken || slices.ContainsFunc(s.wrong, within) {
		return nil, s.all()
	}
	return config, nil
}

func readMain(path string) ([]byte, error) {
	text, err := readBounded(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("there is no configuration file %s: name one with --config, or make one with "+
			"`apnsbridge init`", path)
	case err != nil:
		if failed := new(fs.PathError); errors.As(err, &failed) {
			return nil, fmt.Errorf("the configuration %s cannot be read: %w: name a file, with --config, that the user "+
				"that apnsbridge runs as may read", path, failed.Err)
		}
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return text, nil
}

func parse(path string, text []byte, lookup func(string) (string, bool)) (*Config, error) {
	config, s := read(path, text, lookup)
	if len(s.problems) > 0 {
		return nil, s.all()
	}
	return config, nil
}

func read(path string, text []byte, lookup func(string) (string, bool)) (*Config, *source) {
	config := Default()
	config.file = path
	s := &source{main: path, lookup: lookup, places: make(map[string]place), unknown: make(map[string]bool),
		included: make(map[string]place)}
	s.take(path, text, reflect.ValueOf(config).Elem(), "")
	s.include(config)
	if !s.broken {
		config.validate(s)
	}
	config.secrets = s.secrets
	return config, s
}

// place is a line of a file.
type place struct {
	file string
	line int
}

// source is a configuration as text: where each value stands, and what is wrong.
type source struct {
	main     string // the configuration file
	lookup   func(string) (string, bool)
	doc      *document        // that is read now
	places   map[string]place // by path: apps.mail.clients[0].sha256
	included map[string]place // by a file's name without links: who has named it
	values   int              // of all files
	secrets  []Secret         // that the files have in the clear
	problems []Problem
	more     int             // problems beyond mostProblems
	wrong    []string        // the paths of problems
	unknown  map[string]bool // sections that have a key which they should not have
	broken   bool            // a file is missing, or no YAML
	own      string          // apps.NAME of the app of which the present file is
}

// take reads one file into v.
func (s *source) take(file string, text []byte, v reflect.Value, path string) {
	doc, problem := parseDocument(file, text)
	if s.values += doc.values; problem == nil && s.values > mostValues {
		problem = &Problem{file, 1, fmt.Sprintf("the files together have more than %d values: are all of them "+
			"configurations?", mostValues)}
	}
	if problem != nil {
		s.breakOff(*problem)
		return
	}
	if s.doc = doc; doc.body != nil {
		s.decode(doc.body, v, path, fieldKind{})
	}
}

// fileName is the name of a file that stands in the present document, as the
// main file would name it. With text it may be the file's text instead.
func (s *source) fileName(name, path string, text bool) (string, bool) {
	switch {
	case IsKeyText(name) && text:
		return name, true
	case IsKeyText(name):
		s.reject(path, "%s is the text of a file, and has to be the file's name: put the text into a file that "+
			"only its owner may read", leaf(path))
		return "", false
	case strings.HasPrefix(name, "~/"):
		s.reject(path, "%s begins with ~/, which only a shell understands: write the whole path", leaf(path))
		return "", false
	case name == "" || filepath.IsAbs(name) || s.doc.file == s.main:
		return name, true
	}
	return relativeTo(s.main, filepath.Join(filepath.Dir(s.doc.file), name)), true
}

// reject notes a problem with the value at path, or with the nearest one above
// it that the file has.
func (s *source) reject(path, format string, args ...any) {
	at := place{s.main, 1}
	for p := path; p != ""; p = parent(p) {
		if found, ok := s.places[p]; ok {
			at = found
			break
		}
	}
	s.wrong = append(s.wrong, path)
	s.note(Problem{at.file, at.line, fmt.Sprintf(format, args...)})
}

// breakOff notes a problem without which the others mean little: the first of
// them is told in any case.
func (s *source) breakOff(p Problem) {
	if s.broken {
		s.note(p)
		return
	}
	s.broken, s.problems = true, append(s.problems, p)
}

// mostProblems is how many are told: whoever has more has one cause for them.
const mostProblems = 100

func (s *source) note(p Problem) {
	if len(s.problems) >= mostProblems {
		s.more++
		return
	}
	s.problems = append(s.problems, p)
}

// lacks notes that a setting is missing at path, unless it is there and wrong, or
// stands beside it under a name that is not known.
func (s *source) lacks(path, format string, args ...any) {
	for _, wrong := range s.wrong {
		if wrong == path || strings.HasPrefix(wrong, path+".") || strings.HasPrefix(wrong, path+"[") ||
			s.unknown[parent(path)] {
			return
		}
	}
	s.reject(path, format, args...)
}

// all are the problems in the order of files and lines, the main file's first.
func (s *source) all() error {
	others := func(p Problem) int {
		if p.File == s.main {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(s.problems, func(p, q Problem) int {
		return cmp.Or(cmp.Compare(others(p), others(q)), cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line))
	})
	var errs []error
	for _, p := range slices.Compact(s.problems) {
		errs = append(errs, p)
	}
	if s.more > 0 {
		errs = append(errs, fmt.Errorf("%s: and %d more problems: mend these, and look again", s.main, s.more))
	}
	return errors.Join(errs...)
}
