package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// placeholder encloses a variable's number while YAML is parsed. As written, ${NAME} would
// end a mapping in braces, and the default in ${NAME:-a, b} would end the value. U+E000 is
// in the private use area.
const placeholder = '\ue000'

var (
	variable      = regexp.MustCompile(`\$?\$\{[^}\r\n]*\}`)
	shielded      = regexp.MustCompile("\ue000[0-9]+\ue000")
	variableParts = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)(:-(.*))?\}$`)
)

// shield replaces the variables in the text by placeholders.
func (d *document) shield(text string) string {
	return variable.ReplaceAllStringFunc(text, func(reference string) string {
		d.variables = append(d.variables, reference)
		return string(placeholder) + strconv.Itoa(len(d.variables)-1) + string(placeholder)
	})
}

// written returns text as it is in the file.
func (d *document) written(text string) string {
	return shielded.ReplaceAllStringFunc(text, d.reference)
}

// reference returns what a placeholder stands for.
func (d *document) reference(held string) string {
	number, err := strconv.Atoi(strings.Trim(held, string(placeholder)))
	if err != nil || number >= len(d.variables) {
		return held
	}
	return d.variables[number]
}

// expand replaces variables by their values: ${NAME}, or ${NAME:-DEFAULT}, which is DEFAULT
// if NAME is not set or empty. $${NAME} is the text ${NAME}. problem says which variable
// cannot be used, "" if there is none.
func (d *document) expand(text string, lookup func(string) (string, bool)) (value, problem string) {
	value = shielded.ReplaceAllStringFunc(text, func(held string) string {
		reference := d.reference(held)
		if escaped, ok := strings.CutPrefix(reference, "$$"); ok {
			return "$" + escaped
		}
		parts := variableParts.FindStringSubmatch(reference)
		if parts == nil {
			problem = fmt.Sprintf("%s is no variable: write ${NAME}, ${NAME:-DEFAULT}, or $$%s for the text itself",
				Clip(reference), Clip(strings.TrimPrefix(reference, "$")))
			return ""
		}
		found, ok := lookup(parts[1])
		switch {
		case found == "" && parts[2] != "":
			return parts[3]
		case !ok:
			problem = fmt.Sprintf("the environment variable %s is not set: set it, or write the value here", Clip(parts[1]))
		}
		return found
	})
	return value, problem
}
