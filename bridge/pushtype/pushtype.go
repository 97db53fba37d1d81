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
	if strings.HasPrefix(topic, "pass.") {
		return Background
	}
	if strings.HasPrefix(topic, "web.") {
		return Alert
	}
	return ""
}

// IsMDM reports whether topic belongs to device management.
func IsMDM(topic string) bool { return strings.HasPrefix(topic, "com.apple.mgmt.") }

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
	case IsMDM(topic):
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
