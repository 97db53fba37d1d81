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

// A Problem is one thing that is wrong in a configuration file, with its remedy.
type Problem struct {
	File string
	Line int
	Text string
}

// Error returns FILE:LINE: TEXT.
func (p Problem) Error() string {
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Load reads the configuration file at path, and those that it includes. The error joins a
// Problem for each thing that is wrong.
func Load(path string) (*Config, error) {
	text, err := readMain(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text, os.LookupEnv)
}

// Parse is Load with a text that is not in its file yet.
func Parse(path string, text []byte) (*Config, error) { return parse(path, text, os.LookupEnv) }

// LoadAdmin reads what is needed to ask the running gateway: only Admin and the names of Apps
// are reliable. It does not fail because of a mistake elsewhere, or a variable that is set
// only in the gateway's environment.
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

// source is a configuration as text: where each value is, and what is wrong.
type source struct {
	main     string // the configuration file
	lookup   func(string) (string, bool)
	doc      *document        // the one being read
	places   map[string]place // by path: apps.mail.clients[0].sha256
	included map[string]place // by file name without links: where it was named
	values   int              // in all files
	secrets  []Secret         // that are in the files in the clear
	problems []Problem
	more     int             // problems beyond mostProblems
	wrong    []string        // the paths of problems
	unknown  map[string]bool // sections that have an unknown key
	broken   bool            // a file is missing or is not YAML
	own      string          // apps.NAME of the app that the current file is for
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

// fileName returns the name of a file that the current document names, relative to the
// main file. If text is set, it may be the file's text instead.
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

// reject notes a problem with the value at path. Its line is that of the value or, if the
// file does not have it, of the nearest section above.
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

// breakOff notes a problem that makes others meaningless: the first such problem is reported
// in any case.
func (s *source) breakOff(p Problem) {
	if s.broken {
		s.note(p)
		return
	}
	s.broken, s.problems = true, append(s.problems, p)
}

// mostProblems is how many are reported: if there are more, they have the same cause.
const mostProblems = 100

func (s *source) note(p Problem) {
	if len(s.problems) >= mostProblems {
		s.more++
		return
	}
	s.problems = append(s.problems, p)
}

// lacks notes that the setting at path is missing, unless it is there and wrong, or may be
// there under an unknown name.
func (s *source) lacks(path, format string, args ...any) {
	for _, wrong := range s.wrong {
		if wrong == path || strings.HasPrefix(wrong, path+".") || strings.HasPrefix(wrong, path+"[") ||
			s.unknown[parent(path)] {
			return
		}
	}
	s.reject(path, format, args...)
}

// all joins the problems, sorted by file and line, those of the main file first.
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
