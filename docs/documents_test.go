package docs_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"apnsbridge/cmd/apnsbridge/config"
)

// top is the tree's.
const top = ".."

// documents are all Markdown files of the tree, by their paths in it.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != top && (strings.HasPrefix(name, ".") || name == "release") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(top, path)
		all[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil || len(all) < 15 {
		t.Fatalf("there are %d documents: %v", len(all), err)
	}
	return all
}

// prose calls do with each line of a document that is neither code nor a table.
func prose(text string, do func(number int, line string)) {
	code := false
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		} else if !code && !strings.HasPrefix(strings.TrimSpace(line), "|") && !strings.HasPrefix(line, "    ") {
			do(number, line)
		}
	}
}

func TestProseIsWrapped(t *testing.T) {
	for name, text := range documents(t) {
		prose(text, func(number int, line string) {
			if n := utf8.RuneCountInString(line); n > 120 && !strings.HasPrefix(line, "![") {
				t.Errorf("%s:%d has %d columns", name, number, n)
			}
		})
	}
}

func TestReadmeIsShort(t *testing.T) {
	if n := strings.Count(documents(t)["README.md"], "\n"); n >= 200 {
		t.Errorf("README.md has %d lines: the rest belongs into docs", n)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	notWord = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// headings are a document's, as links name them.
func headings(text string) (all []string) {
	prose(text, func(_ int, line string) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			all = append(all, strings.ReplaceAll(notWord.ReplaceAllString(strings.ToLower(title), ""), " ", "-"))
		}
	})
	return all
}

// What a document links to in the tree is there, headings too.
func TestLinks(t *testing.T) {
	all := documents(t)
	for name, text := range all {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			file, heading, _ := strings.Cut(found[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			target := name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
			}
			if _, err := os.Stat(filepath.Join(top, target)); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if heading != "" && !slices.Contains(headings(all[target]), heading) {
				t.Errorf("%s: %s has no heading %s", name, target, heading)
			}
		}
	}
}

var (
	path    = regexp.MustCompile("`((?:binproto|gateway|bridge|store|fleet|cmd|endtoend|fuzz|bench|docs|\\.ci)/[\\w./-]+)`")
	namedIn = regexp.MustCompile("`(\\w+)`\\s+in\\s+`([\\w./-]+\\.go)`")
)

// Files and packages that a document names are there, and what it says is in a file is in it.
func TestPaths(t *testing.T) {
	paths, names := 0, 0
	for name, text := range documents(t) {
		for _, found := range path.FindAllStringSubmatch(text, -1) {
			if filepath.Ext(found[1]) == ".pem" {
				continue // an operator's
			}
			paths++
			if _, err := os.Stat(filepath.Join(top, found[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, found := range namedIn.FindAllStringSubmatch(text, -1) {
			names++
			source, err := os.ReadFile(filepath.Join(top, found[2]))
			if err != nil || !regexp.MustCompile(`\b`+found[1]+`\b`).Match(source) {
				t.Errorf("%s: %s has no %s (%v)", name, found[2], found[1], err)
			}
		}
	}
	if paths < 30 || names < 4 {
		t.Errorf("the documents name %d paths, and %d names in files", paths, names)
	}
}

// The README names each package, with where it is.
func TestPackagesAreListed(t *testing.T) {
	readme := documents(t)["README.md"]
	for dir := range sources(t) {
		if strings.Contains(dir, "testdata") || dir == "docs" {
			continue // no packages of the program's
		}
		if !strings.Contains(readme, "]("+dir+")") {
			t.Errorf("README.md does not list %s", dir)
		}
	}
}

// sources are the Go files of each directory.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			dir, _ := filepath.Rel(top, filepath.Dir(path))
			all[filepath.ToSlash(dir)] = append(all[filepath.ToSlash(dir)], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// configuration.md names each key that there is.
func TestKeysAreDocumented(t *testing.T) {
	document := documents(t)["docs/configuration.md"]
	var keys int
	var walk func(schema any)
	walk = func(schema any) {
		switch schema := schema.(type) {
		case []any:
			for _, part := range schema {
				walk(part)
			}
		case map[string]any:
			properties, _ := schema["properties"].(map[string]any)
			for key := range properties {
				if keys++; !regexp.MustCompile(`\b` + key + `\b`).MatchString(document) {
					t.Errorf("configuration.md does not name %s", key)
				}
			}
			for _, part := range schema {
				walk(part)
			}
		}
	}
	var schema any
	if err := json.Unmarshal(config.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	if walk(schema); keys < 100 {
		t.Errorf("the schema has %d keys", keys)
	}
}

var metric = regexp.MustCompile(`\bapnsbridge_[a-z_]*[a-z]\b`)

// Metrics and bounds that a document names are there.
func TestNames(t *testing.T) {
	all := documents(t)
	_, bounds, ok := strings.Cut(all["docs/configuration.md"], "\nlimits:\n")
	if !ok {
		t.Fatal("configuration.md shows no limits")
	}
	bound := regexp.MustCompile(`\blimits\.([a-z][a-z_0-9]*)`)
	for name, text := range all {
		for _, metric := range metric.FindAllString(text, -1) {
			if !strings.Contains(all["docs/metrics.md"], "`"+metric+"`") {
				t.Errorf("%s: there is no metric %s", name, metric)
			}
		}
		for _, found := range bound.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(bounds, "\n  "+found[1]+": ") {
				t.Errorf("%s: there is no %s", name, found[0])
			}
		}
	}
}

var (
	option   = regexp.MustCompile(`-(?:test\.)?(?:run|bench) ('[^']+'|[^\s|]+)`)
	named    = regexp.MustCompile(`\./[a-z][a-z0-9/]*(?:\.\.\.)?`)
	function = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
)

// Each part of a pattern behind -run or -bench finds a test or benchmark, in the packages that the command
// names if it names any.
func TestCommandsFindTests(t *testing.T) {
	functions := make(map[string][]string)
	for dir, paths := range sources(t) {
		for _, path := range paths {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range function.FindAllStringSubmatch(string(source), -1) {
				functions[dir] = append(functions[dir], found[1])
			}
		}
	}
	finds := func(packages []string, pattern *regexp.Regexp) bool {
		for dir, names := range functions {
			among := func(named string) bool {
				parent, below := strings.CutSuffix(named[len("./"):], "...")
				return dir == parent || below && strings.HasPrefix(dir+"/", parent)
			}
			if (len(packages) == 0 || slices.ContainsFunc(packages, among)) && slices.ContainsFunc(names, pattern.MatchString) {
				return true
			}
		}
		return false
	}
	patterns := 0
	for name, text := range documents(t) {
		text = strings.ReplaceAll(text, `\|`, "|") // as it stands in tables
		for _, command := range strings.FieldsFunc(text, func(r rune) bool { return r == '`' || r == '\n' }) {
			packages := named.FindAllString(command, -1)
			for _, found := range option.FindAllStringSubmatch(command, -1) {
				pattern := strings.NewReplacer("'", "", "(", "", ")", "").Replace(found[1])
				for part := range strings.SplitSeq(pattern, "|") {
					part, _, _ = strings.Cut(part, "/")
					if part == "^$" || part == "." {
						continue
					}
					patterns++
					expression, err := regexp.Compile(strings.Replace(part, "^", "^(Test|Benchmark)?", 1))
					if err != nil || !finds(packages, expression) {
						t.Errorf("%s: %s: nothing is called %s (%v)", name, command, part, err)
					}
				}
			}
		}
	}
	if patterns < 80 {
		t.Errorf("the documents have %d patterns", patterns)
	}
}
