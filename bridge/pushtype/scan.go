package pushtype

// longestName is the longest of the keys that are looked for.
const longestName = "content-available"

// facts is what the choice of a push type wants to know of a payload.
type facts struct {
	mdm        bool // a top-level key mdm
	aps        bool // a top-level key aps
	visible    bool // aps has an alert or sound that is not empty, or a badge
	background bool // aps has content-available
}

// scan looks through a payload once. It changes and allocates nothing,
// and takes what is not JSON as far as it goes: APNs judges that. As with
// encoding/json, the last of two equal keys counts.
func scan(payload []byte) facts {
	var f facts
	var aps apsFacts
	s := scanner{text: payload}
	if !s.take('{') {
		return f
	}
	for {
		key, ok := s.key()
		if !ok {
			break
		}
		switch string(key) {
		case "mdm":
			f.mdm = true
			s.value()
		case "aps":
			f.aps = true
			aps = s.aps()
		default:
			s.value()
		}
		if !s.take(',') {
			break
		}
	}
	f.visible = aps.alert || aps.badge || aps.sound
	f.background = aps.contentAvailable
	return f
}

type apsFacts struct{ alert, badge, sound, contentAvailable bool }

// aps reads the value of the top-level key aps.
func (s *scanner) aps() apsFacts {
	var f apsFacts
	if !s.take('{') {
		s.value()
		return f
	}
	for {
		key, ok := s.key()
		if !ok {
			break
		}
		v := s.value()
		switch string(key) {
		case "alert":
			f.alert = !v.empty()
		case "badge":
			f.badge = v.kind != nothing && v.kind != jsonNull
		case "sound":
			f.sound = !v.empty()
		case longestName:
			f.contentAvailable = v.truth()
		}
		if !s.take(',') {
			break
		}
	}
	s.take('}')
	return f
}
