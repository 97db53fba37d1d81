// Package pushtype chooses the push type of a notification, which the old protocol did
// not have, and the priority that goes with it: as the app is set, else by its topic, else
// by what its payload asks of the device.
//
// Source: Apple, "Sending notification requests to APNs".
package pushtype

import "strings"

// The push types that the rules below speak of. Others are passed as an app or
// a topic has them.
const (
	Alert      = "alert"
	Background = "background"
	MDM        = "mdm"
)

// BackgroundPriority is the only one that APNs takes for a background push: 10
// is an error.
const BackgroundPriority = 5

// bySuffix is what the end of a topic says.
var bySuffix = []struct{ suffix, pushType string }{
	{".voip", "voip"},
	{".voip-ptt", "pushtotalk"},
	{".complication", "complication"},
	{".pushkit.fileprovider", "fileprovider"},
	{".location-query", "location"},
}

// ofTopic gives the push type that a topic asks for by itself, or "" if the
// payload decides.
func ofTopic(topic string) string {
	for _, s := range bySuffix {
		if strings.HasSuffix(topic, s.suffix) {
			return s.pushType
		}
	}
	const marker = ".push-type."
	if at := strings.LastIndex(topic, marker); at >= 0 {
		if name := topic[at+len(marker):]; name != "" && !strings.Contains(name, ".") {
			return name
		}
	}
	if strings.HasPrefix(topic, "pass.") || isServer(topic) {
		return Background
	}
	if strings.HasPrefix(topic, "web.") {
		return Alert
	}
	return ""
}

// isMDM reports whether topic belongs to device management.
func isMDM(topic string) bool { return strings.HasPrefix(topic, "com.apple.mgmt.") }

// isServer reports whether topic is one of those that Apple gave to macOS Server,
// and others took over from it: com.apple.mail.XServer.UUID, and the same with
// calendar and contact. docs/topics.md has the sources.
func isServer(topic string) bool {
	rest, ok := strings.CutPrefix(topic, "com.apple.")
	service, rest, _ := strings.Cut(rest, ".")
	return ok && service != "" && (rest == "XServer" || strings.HasPrefix(rest, "XServer."))
}

// IsUniform reports whether all payloads to topic are the same, so that a
// notification that is sent again cannot be told from the next one: device management,
// passes, and Apple's topics for servers.
func IsUniform(topic string) bool {
	return isMDM(topic) || isServer(topic) || strings.HasPrefix(topic, "pass.")
}

// Rule chooses the push type for one app and topic.
type Rule struct {
	set   string // the same for every payload, or ""
	topic string // what the topic asks for, unless the payload is a device management command
}

// NewRule takes the app's setting: "", "auto", or the type to use.
func NewRule(setting, topic string) Rule {
	switch {
	case setting != "" && setting != "auto":
		return Rule{set: setting}
	case isMDM(topic):
		return Rule{set: MDM}
	}
	return Rule{topic: ofTopic(topic)}
}

// Choose gives push type and priority for a payload. priority is the one the
// provider asked for, 10 if it did not.
func (t Rule) Choose(payload []byte, priority uint8) (string, uint8) {
	pushType := t.set
	if pushType == "" {
		pushType = t.fromPayload(payload)
	}
	if pushType == Background {
		priority = BackgroundPriority
	}
	return pushType, priority
}

func (t Rule) fromPayload(payload []byte) string {
	facts := scan(payload)
	switch {
	case facts.mdm && !facts.aps:
		return MDM
	case t.topic != "":
		return t.topic
	case facts.background && !facts.visible:
		return Background
	}
	return Alert
}
