package apnssim

import "strings"

func checkTopic(q *question) Reason {
	switch {
	case q.topic == "" && q.headers.has&hasTopic == 0:
		return MissingTopic
	case !isTopic(q.topic):
		return BadTopic
	case q.grants.topics != nil && !q.grants.topics[q.topic]:
		return TopicDisallowed
	case q.headers.has&hasAuthorization != 0 && !q.grants.keys[q.conn.token.keyID].covers(q.topic):
		return TopicDisallowed
	case q.headers.has&hasAuthorization == 0 && !q.client.covers(q.topic):
		return TopicDisallowed
	}
	return ""
}

// isTopic reports whether s could be a bundle ID.
func isTopic(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '.', b == '-', b == '_':
		default:
			return false
		}
	}
	return true
}

// pushTypes are Apple's, and what their topics end with.
var pushTypes = []struct{ name, suffix string }{
	{"alert", ""},
	{"background", ""},
	{"mdm", ""},
	{"voip", ".voip"},
	{"pushtotalk", ".voip-ptt"},
	{"complication", ".complication"},
	{"fileprovider", ".pushkit.fileprovider"},
	{"location", ".location-query"},
	{"liveactivity", ".push-type.liveactivity"},
	{"widgets", ".push-type.widgets"},
	{"controls", ".push-type.controls"},
}

func suffixOf(pushType string) (suffix string, known bool) {
	for i := range pushTypes {
		if pushTypes[i].name == pushType {
			return pushTypes[i].suffix, true
		}
	}
	return "", false
}

func checkPushType(q *question) Reason {
	if _, known := suffixOf(q.headers.pushType); !known && q.headers.has&hasPushType != 0 {
		return InvalidPushType
	}
	return ""
}

// checkSuffix compares the push type with the topic, in both directions. Old
// providers send none, which Apple tolerates.
func checkSuffix(q *question) Reason {
	if q.headers.has&hasPushType == 0 {
		return ""
	}
	suffix, _ := suffixOf(q.headers.pushType)
	if !strings.HasSuffix(q.topic, suffix) {
		return InvalidPushType
	}
	if strings.HasPrefix(q.topic, "com.apple.mgmt.") && q.headers.pushType != "mdm" {
		return InvalidPushType
	}
	if suffix != "" {
		return ""
	}
	for i := range pushTypes {
		if other := pushTypes[i].suffix; other != "" && strings.HasSuffix(q.topic, other) {
			return InvalidPushType
		}
	}
	return ""
}

// Apple: sending a background notification with priority 10 is an error.
func checkBackground(q *question) Reason {
	if q.headers.pushType == "background" && q.priority == 10 {
		return BadPriority
	}
	return ""
}
