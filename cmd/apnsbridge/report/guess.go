package report

import (
	"fmt"
	"slices"
	"strings"

	"apnsbridge/binproto"
)

// Unknown is the guess where nothing fits.
const Unknown = "unknown"

// Guess is which library a provider may be, and what bears that out.
type Guess struct {
	Library string   // or those that cannot be told apart, or Unknown
	Because []string // what was seen, and what speaks against it
}

// enough is how many notifications have to be seen before their identifiers tell anything.
const enough = 3

// likely is among how many languages a guess is still one.
const likely = 3

// guess names the libraries that do what was seen. The hello decides among those whose frames are alike; where it
// speaks against all of them, it is no reason to know better than the frames: a relay in front has a hello of its own.
func (h *Habits) guess(stack Stack) Guess {
	because := h.seen()
	if stack != UnknownStack {
		because = append(because, "hello of "+string(stack))
	}
	if h.Frames > 0 && h.MDM {
		return Guess{"an MDM server", append(because, `payloads are {"mdm": …}`)}
	}
	fit, borneOut := h.candidates(stack)
	switch {
	case h.Frames < enough:
		return Guess{Unknown, append(because, "too few to tell")}
	case len(fit) == 0:
		return Guess{Unknown, append(because, "no library that is known does so")}
	case stack != UnknownStack && !borneOut:
		because = append(because, "the hello is of none of these: a relay, or another that writes as they do")
	}
	if h.Pace.sleeps() && slices.ContainsFunc(fit, func(l *library) bool { return l.name == "ApnsPHP" }) {
		because = append(because, "a short sleep behind each")
	}
	name := nameAll(fit)
	if name == Unknown {
		because = append(because, "too many libraries do so")
	}
	return Guess{name, because}
}

// candidates are the libraries whose frames are such; if some have the stack under them, those alone.
func (h *Habits) candidates(stack Stack) (fit []*library, borneOut bool) {
	var others []*library
	for i := range libraries {
		l := &libraries[i]
		switch {
		case !h.like(l):
		case slices.Contains(l.stacks, stack):
			fit = append(fit, l)
		case !l.byStack:
			others = append(others, l)
		}
	}
	// Frames that only one writes name it whatever its hello is: a .NET program's has not been recorded.
	if len(fit) == 0 {
		return others, len(others) > 0 && !slices.ContainsFunc(others, func(l *library) bool { return len(l.stacks) > 0 })
	}
	return fit, true
}

// like reports whether a library's frames are such.
func (h *Habits) like(l *library) bool {
	if h.Frames == 0 || h.Mixed || h.Command != l.command || !l.expiry(h.Expiry) || !h.numbered(l.numbers) {
		return false
	}
	if l.command == binproto.Framed {
		want := binproto.LayoutOf(l.items...)
		if h.Priorities {
			want = withoutPriority(want)
		}
		if h.Layout != want || h.Priorities && !l.priorities {
			return false
		}
	}
	return l.fits == nil || l.fits(h)
}

// numbered reports whether the identifiers may come of such a numbering.
func (h *Habits) numbered(as numbering) bool {
	switch as {
	case noNumbers:
		return h.Nameless
	case oneNumber:
		return h.Same
	case fromZero:
		return h.Counts && h.Highest == 0
	case fromOne:
		return h.Counts && h.First == 1 && h.Highest == 1
	case counting:
		// One notification a connection says that only where the numbers are as many as the connections.
		return h.Counts && h.First > 0 && (!h.single() || uint64(h.Highest-h.First)+1 == h.Conns)
	}
	return !h.Nameless
}

var expiryWords = map[Expiry]string{ZeroExpiry: "expiry 0", IntMax: "expiry 0x7fffffff", UintMax: "expiry 0xffffffff",
	OneDay: "expiry 86400"}

// seen puts into words what a guess goes by.
func (h *Habits) seen() []string {
	if h.Frames == 0 {
		return nil
	}
	all := []string{h.String()}
	switch {
	case h.Mixed || h.Nameless || h.Same && h.Frames > 1:
	case !h.Counts:
		all = append(all, "identifiers do not count")
	case h.Conns == 1:
		all = append(all, fmt.Sprintf("from %d", h.First))
	case h.First == h.Highest:
		all = append(all, fmt.Sprintf("from %d on each connection", h.First))
	default:
		all = append(all, "from one connection to the next they go on")
	}
	if h.Frames >= enough && h.single() {
		all = append(all, "a connection for each notification")
	}
	if text, ok := expiryWords[h.Expiry]; ok {
		all = append(all, text)
	}
	if h.Pace.bursts() {
		all = append(all, "in bursts")
	}
	return all
}

// nameAll names libraries by their languages, or is Unknown if these are too many.
func nameAll(fit []*library) string {
	var languages, names []string
	by := make(map[string][]string)
	for _, l := range fit {
		if !slices.Contains(languages, l.language) {
			languages = append(languages, l.language)
		}
		if !slices.Contains(by[l.language], l.name) {
			by[l.language] = append(by[l.language], l.name)
		}
	}
	if len(languages) > likely {
		return Unknown
	}
	for _, language := range languages {
		names = append(names, orOf(by[language])+" ("+language+")")
	}
	return orOf(names)
}

// orOf is a list whose last two have an or between them.
func orOf(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
