package trace

import (
	"fmt"
	"strings"
)

// Curl is the push as a provider would make it that speaks HTTP/2 to APNs itself. The
// credential and what is not known of the token are variables of the shell.
func (n *Note) Curl() string {
	lines := []string{fmt.Sprintf("# TOKEN is the device token that begins with %s", n.Token)}
	credential := `--header "authorization: bearer $JWT"`
	switch n.Credential {
	case "certificate":
		credential = `--cert "$CERTIFICATE" --key "$KEY"`
		lines = append(lines, "# CERTIFICATE and KEY are files: the push certificate of "+n.Topic)
	default:
		lines = append(lines, "# JWT is a provider token, signed with the team's key:",
			"# https://developer.apple.com/documentation/usernotifications/"+
				"establishing-a-token-based-connection-to-apns")
	}
	lines = append(lines, "curl --http2 "+credential+` \`)
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
	lines = append(lines, "  --data-binary "+quoted(n.Payload)+` \`, "  "+n.Endpoint+`/3/device/"$TOKEN"`)
	return strings.Join(lines, "\n") + "\n"
}

// quoted is text as one word of the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
