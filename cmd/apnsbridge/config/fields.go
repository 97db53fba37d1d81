package config

import (
	"cmp"
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// fieldKind is what the tag `is` says about a setting.
type fieldKind struct {
	secret bool // it must not be in any message
	key    bool // it is the name of a file, or the file's text
	url    bool // it may contain a user and a password
	file   bool // it is the name of a file or directory, relative to the file that names it
}

type field struct {
	index []int
	kind  fieldKind
	typ   reflect.Type
}

// fieldsOf returns the settings of a section, by key.
func fieldsOf(t reflect.Type) map[string]field {
	fields := make(map[string]field)
	for _, f := range reflect.VisibleFields(t) {
		if key := f.Tag.Get("yaml"); f.IsExported() && key != "" && key != "-" {
			is := f.Tag.Get("is")
			fields[key] = field{f.Index, fieldKind{secret: is == "secret", key: is == "key", url: is == "url",
				file: is == "file"}, f.Type}
		}
	}
	return fields
}

// sections calls do for each section of a configuration: with "" for the top, and
// apps.NAME for an app.
func sections(t reflect.Type, path string, do func(path string, fields map[string]field)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		if t.Kind() == reflect.Map {
			path += ".NAME"
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || isScalar(t) && len(fieldsOf(t)) == 0 {
		return
	}
	fields := fieldsOf(t)
	do(path, fields)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		sections(fields[key].typ, join(path, key), do)
	}
}

// isScalar reports whether a value of type t is read from a single text.
func isScalar(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// unknownKey returns a sentence about a key that the section at path, of type t, does not
// have: it is mistyped, or in the wrong place.
func unknownKey(path, key string, t reflect.Type) string {
	var homes, all []string
	sections(reflect.TypeFor[Config](), "", func(path string, fields map[string]field) {
		if _, ok := fields[key]; ok {
			homes = append(homes, home(path))
		}
		all = slices.AppendSeq(all, maps.Keys(fields))
	})
	if len(homes) > 0 {
		return fmt.Sprintf("%s has no key %s: it belongs %s", section(path), key, strings.Join(homes, " or "))
	}
	own := slices.Collect(maps.Keys(fieldsOf(t)))
	if near := cmp.Or(begun(key, own), nearest(key, own)); near != "" {
		return fmt.Sprintf("unknown key %q: did you mean %s?", Clip(key), near)
	}
	if near := nearest(key, all); near != "" {
		return fmt.Sprintf("unknown key %q: did you mean %s, in another section?", Clip(key), near)
	}
	return fmt.Sprintf("unknown key %q: correct its name or remove it", Clip(key))
}

func home(path string) string {
	if path == "" {
		return "to the top of the file, without indentation"
	}
	return "to " + path
}

// section names the section at path, for the beginning of a sentence.
func section(path string) string {
	if path == "" {
		return "the top of the file"
	}
	return leaf(path)
}

// noMapping returns a sentence on what to write for a section in place of a single value or list.
func noMapping(path string, t reflect.Type, list bool) string {
	example := "NAME"
	if t.Kind() == reflect.Struct {
		example = slices.Min(slices.Collect(maps.Keys(fieldsOf(t))))
	}
	what := "a value"
	if list {
		what = "a list"
	}
	switch {
	case path == "" && list:
		return "the top of the file is a list: write KEY: VALUE, without a - before it"
	case path == "": // do not show the line: this may be any file, even one with a password
		return "the line is no key with a value: write KEY: VALUE, with a blank behind the colon"
	case t == reflect.TypeFor[Credentials]() || t == reflect.TypeFor[Credential]():
		return fmt.Sprintf("%s has keys of its own, and here stands %s: write token: or certificate: below it; "+
			"several keys are a list below token", leaf(path), what)
	}
	return fmt.Sprintf("%s has keys of its own, and here stands %s: write them below it, indented, like %s: …",
		leaf(path), what, example)
}

// nearest returns the word that is most like key, or "" if none is alike enough: two words of
// three letters always have something in common, which means nothing.
func nearest(key string, words []string) string {
	if !strings.ContainsFunc(key, unicode.IsLetter) {
		return ""
	}
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	best, least := "", min(max(2, (len(key)+4)/3), longestWord)
	slices.Sort(words)
	for _, word := range slices.Compact(words) {
		if d := distance(key, word); d < least {
			best, least = word, d
		}
	}
	return best
}

// begun returns the word that begins with key, as environment does with env, or that is the
// beginning of key; "" if there is none, or more than one.
func begun(key string, words []string) string {
	const least = 3
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	var found []string
	for _, word := range words {
		if min(len(key), len(word)) >= least && (strings.HasPrefix(word, key) || strings.HasPrefix(key, word)) {
			found = append(found, word)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// longestWord is more than the length of any key; longer words are not like any.
const longestWord = 64

// distance is how many letters must be added, removed, replaced or swapped with their
// neighbours to turn a into b.
func distance(a, b string) int {
	if len(a) > longestWord || len(b) > longestWord {
		return longestWord
	}
	var rows [longestWord + 1][longestWord + 1]int
	for i := range len(a) + 1 {
		rows[i][0] = i
	}
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

// leaf returns the last key of a path: password of apps.mail.credential.password.
func leaf(path string) string {
	if at := strings.LastIndexByte(path, '.'); at >= 0 {
		return path[at+1:]
	}
	return path
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// parent returns the path of the section or list that contains path, "" for the top.
func parent(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '.' || path[i] == '[' {
			return path[:i]
		}
	}
	return ""
}
