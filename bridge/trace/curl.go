package trace

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Curl is the push as a provider would make it that speaks HTTP/2 to APNs itself. The
// credential and what is not known of the token are variables of the shell.
func (n *Note) Curl() string {
	lines := []string{fmt.Sprintf("# TOKEN is the device token that begins with %s", n.Token)}
	authority := ""
	if n.OwnCA {
		authority = ` --cacert "$CA"`
		lines = append(lines, "# CA is the file that endpoint_ca names")
	}
	credential := `--header "authorization: bearer $JWT"`
	switch n.Credential {
	case "certificate":
		credential = `--cert "$CERTIFICATE" --key "$KEY"`
		lines = append(lines, "# CERTIFICATE and KEY are files: the push certificate of "+quoted(n.Topic))
	default:
		lines = append(lines, "# JWT is a provider token, signed with the team's key:",
			"# https://developer.apple.com/documentation/usernotifications/"+
				"establishing-a-token-based-connection-to-apns")
	}
	lines = append(lines, "curl --http2"+authority+" "+credential+` \`)
	header := func(name, value string) {
		lines = append(lines, "  --header "+quoted(name+": "+value)+` \`)
	}
	header("apns-topic", n.Topic)
	header("apns-push-type", n.PushType)
	header("apns-priority", fmt.Sprint(n.Priority))
	if n.Expiration >= 0 {
		header("apns-expiration", fmt.Sprint(n.Expiration))
	}
	header("apns-id", n.APNsID)
	// Not --data-binary, which takes what begins with @ for a file's name.
	lines = append(lines, "  --data-raw "+quoted(n.Payload)+` \`, "  "+n.Endpoint+`/3/device/"$TOKEN"`)
	return strings.Join(lines, "\n") + "\n"
}

// quoted is text as one word of the shell. Whose terminal shows it must not obey it: what
// cannot be seen is written as bash, zsh and POSIX of 2024 have it.
func quoted(text string) string {
	seen := func(r rune) bool { return r == '\n' || r == '\t' || unicode.IsPrint(r) && r != utf8.RuneError }
	if !strings.ContainsFunc(text, func(r rune) bool { return !seen(r) }) {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	var word strings.Builder
	word.WriteString("$'")
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == '\'' || r == '\\':
			word.WriteString(`\` + text[:size])
		case unicode.IsPrint(r) && r != utf8.RuneError:
			word.WriteString(text[:size])
		default:
			for _, b := range []byte(text[:size]) {
				fmt.Fprintf(&word, `\%03o`, b)
			}
		}
		text = text[size:]
	}
	return word.String() + "'"
}
