package main

import (
	"regexp"
	"strings"
)

// plainYAML is what YAML takes for a text without quotes.
var plainYAML = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./-]*$`)

// yamlWord matches what YAML, or a reader of it, takes for something else than a text.
var yamlWord = regexp.MustCompile(`^(?i:null|true|false|yes|no|on|off|y|n|\.inf|\.nan)$`)

// yamlQuoted writes a value so that a configuration has it as it is.
func yamlQuoted(value string) string {
	if plainYAML.MatchString(value) && !yamlWord.MatchString(value) {
		return value
	}
	value = strings.ReplaceAll(value, "${", "$${") // or it would be a variable
	return "'" + strings.ReplaceAll(value, "'", "''") + "'"
}

// shellWord matches what a shell takes for one word without quotes.
var shellWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./-]+$`)

// shellQuoted writes a value so that a shell reads it as one word.
func shellQuoted(value string) string {
	if shellWord.MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

// shellPath writes a path so that a shell reads it as one word, and no command takes it
// for a flag.
func shellPath(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return shellQuoted(path)
}

// phpQuoted writes a value as a text in PHP.
func phpQuoted(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(value) + "'"
}
