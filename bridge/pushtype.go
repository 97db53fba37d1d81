package bridge

import "strings"

// The push types that the rules below speak of. Others are passed as an app or
// a topic has them.
const (
	typeAlert      = "alert"
	typeBackground = "background"
	typeMDM        = "mdm"
)

// backgroundPriority is the only one that APNs takes for a background push: 10
// is an error.
const backgroundPriority = 5

// pushTypeBySuffix is what the end of a topic says.
var pushTypeBySuffix = []struct{ suffix, pushType string }{
	{".voip", "voip"},
	{".voip-ptt", "pushtotalk"},
	{".complication", "complication"},
	{".pushkit.fileprovider", "fileprovider"},
	{".location-query", "location"},
}

// typeOfTopic gives the push type that a topic asks for by itself, or "" if the
// payload decides.
func typeOfTopic(topic string) string {
	for _, s := range pushTypeBySuffix {
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
		return typeBackground
	}
	if strings.HasPrefix(topic, "web.") {
		return typeAlert
	}
	return ""
}

// isMDMTopic says whether topic belongs to device management.
func isMDMTopic(topic string) bool { return strings.HasPrefix(topic, "com.apple.mgmt.") }

// typeRule chooses the push type for one app and topic.
type typeRule struct {
	set   string // the same for every payload, or ""
	topic string // what the topic asks for, unless the payload is a device management command
}

// newTypeRule takes the app's setting: "", "auto", or the type to use.
func newTypeRule(setting, topic string) typeRule {
	switch {
	case setting != "" && setting != "auto":
		return typeRule{set: setting}
	case isMDMTopic(topic):
		return typeRule{set: typeMDM}
	}
	return typeRule{topic: typeOfTopic(topic)}
}

// choose gives push type and priority for a payload. priority is the one the
// provider asked for, 10 if it did not.
func (t typeRule) choose(payload []byte, priority uint8) (string, uint8) {
	pushType := t.set
	if pushType == "" {
		pushType = t.fromPayload(payload)
	}
	if pushType == typeBackground {
		priority = backgroundPriority
	}
	return pushType, priority
}

func (t typeRule) fromPayload(payload []byte) string {
	facts := scanPayload(payload)
	switch {
	case facts.mdm && !facts.aps:
		return typeMDM
	case t.topic != "":
		return t.topic
	case facts.background && !facts.visible:
		return typeBackground
	}
	return typeAlert
}
