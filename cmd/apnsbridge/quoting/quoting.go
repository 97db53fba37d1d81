// Package quoting writes a value so that a configuration, a shell or PHP reads it as it is,
// and a terminal shows it.
package quoting

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plainYAML is what YAML takes for a text without quotes.
var plainYAML = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./-]*$`)

// yamlWord matches what YAML, or a reader of it, takes for something else than a text.
var yamlWord = regexp.MustCompile(`^(?i:null|true|false|yes|no|on|off|y|n|\.inf|\.nan)$`)

// YAML writes a value so that a configuration has it as it is.
func YAML(value string) string {
	if plainYAML.MatchString(value) && !yamlWord.MatchString(value) {
		return value
	}
	value = strings.ReplaceAll(value, "${", "$${") // or it would be a variable
	if strings.ContainsFunc(value, unicode.IsControl) {
		return strconv.Quote(value) // of which YAML knows every escape
	}
	return "'" + strings.ReplaceAll(value, "'", "''") + "'"
}

// shellWord matches what a shell takes for one word without quotes.
var shellWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./-]+$`)

// Shell writes a value so that a shell reads it as one word.
func Shell(value string) string {
	if shellWord.MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

// ShellPath writes a path so that a shell reads it as one word, and no command takes it
// for a flag.
func ShellPath(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return Shell(path)
}

// ShellFlag writes a flag and its value so that neither a shell nor the command takes
// the value for something else.
func ShellFlag(flag, value string) string {
	if value == "" || strings.HasPrefix(value, "-") {
		return flag + "=" + Shell(value)
	}
	return flag + " " + Shell(value)
}

// Terminal writes a text so that a terminal shows all of it and obeys nothing: of what
// cannot be seen only the ends of lines and tabs stay as they are.
func Terminal(text string) string {
	var shown strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch one := text[:size]; {
		case r == '\n' || r == '\t' || unicode.IsPrint(r) && (r != utf8.RuneError || size > 1):
			shown.WriteString(one)
		default:
			quoted := strconv.Quote(one)
			shown.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return shown.String()
}

// PHP writes a value as a text in PHP.
func PHP(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(value) + "'"
}
