package main

import "regexp"

// flagMessages are what the parser of flags says in the words of Go, and what it is in
// those of whoever has typed them.
var flagMessages = []struct {
	said  *regexp.Regexp
	means string
}{
	{regexp.MustCompile(`^(\S+): expected [a-z]+ value but got "EOL".*$`),
		`$1: the value is missing: write it behind the flag`},
	{regexp.MustCompile(`(?s)^(\S+): expected [a-z]+ value but got (".*") \((?:short|long) flag\); perhaps try (.*)\?$`),
		`$1: $2 is taken for another flag: give a value, or write $3 if that is meant`},
	{regexp.MustCompile(`(?s)^(\S+): expected a valid \d+ bit int but got (".*").*$`),
		`$1: $2 is no whole number: write one like 10`},
	{regexp.MustCompile(`(?s)^(\S+): expected a valid 8 bit uint but got (".*").*$`),
		`$1: $2 is no whole number from 0 to 255`},
	{regexp.MustCompile(`(?s)^(\S+): expected a valid \d+ bit uint but got (".*").*$`),
		`$1: $2 is no whole number from 0`},
	{regexp.MustCompile(`(?s)^(\S+): expected a float but got (".*?") .*$`), `$1: $2 is no number: write one like 10`},
	{regexp.MustCompile(`(?s)^(\S+): expected duration but got (".*?"): time: .*$`),
		`$1: $2 is no duration: write one like 10s or 5m`},
	{regexp.MustCompile(`(?s)^(\S+): bool value must be .* but got (".*")$`),
		`$1: $2 is neither yes nor no: leave it out`},
	{regexp.MustCompile(`^expected "(<\S+>) (<\S+>)"$`), `$1 and $2 are missing`},
	{regexp.MustCompile(`^expected "(.*)"$`), `$1 is missing`},
	{regexp.MustCompile(`(?s)^(--\S+?)=(".*" .*)$`), `$1: $2`}, // what Validate says
}

// inWords says what is the matter with the flags without the types of a program.
func inWords(text string) string {
	for _, m := range flagMessages {
		if m.said.MatchString(text) {
			return m.said.ReplaceAllString(text, m.means)
		}
	}
	return text
}
