package report

import "apnsbridge/binproto"

// Unknown is the guess where nothing fits.
const Unknown = "unknown"

// libraries are what was recorded of each (the captures behind binproto's tests, and
// the libraries' sources), the most particular first.
var libraries = []struct {
	name string
	fits func(*Habits) bool
}{
	{"an MDM server", func(h *Habits) bool { return h.MDM }},
	{"pushy (Java)", framed(3, 1, 2, 4, 5)},
	{"houston (Ruby)", func(h *Habits) bool { return framed(1, 2, 3)(h) && (h.Counts || h.Frames == 1) && h.First == 0 }},
	{"node-apn 1.x (Node)", func(h *Habits) bool {
		return (framed(1, 2, 3, 4)(h) || framed(1, 2, 3, 4, 5)(h) && h.Priorities) && fromZero(h)
	}},
	{"apns4erl (Erlang) or node-apn 1.x (Node)", func(h *Habits) bool { return framed(1, 2, 3, 4, 5)(h) && fromZero(h) }},
	{"PyAPNs (Python)", func(h *Habits) bool { return framed(1, 2, 3, 4, 5)(h) && h.Same && h.Frames > 1 }},
	{"timehop/apns or anachronistic/apns (Go)", func(h *Habits) bool { return framed(1, 2, 3, 4, 5)(h) && h.Expiry == ZeroExpiry }},
	{"PyAPNs (Python) or rpush (Ruby)", func(h *Habits) bool { return framed(1, 2, 3, 4, 5)(h) && h.Counts }},
	{"java-apns (Java)", func(h *Habits) bool { return enhanced(h) && h.Expiry == IntMax }},
	{"PushSharp (.NET)", func(h *Habits) bool { return enhanced(h) && h.Expiry == UintMax }},
	{"grocer (Ruby) or PyAPNs (Python)", func(h *Habits) bool { return enhanced(h) && h.Same && h.Frames > 1 }},
	{"apnagent (Node) or a PHP script", func(h *Habits) bool { return enhanced(h) && fromZero(h) }},
	{"ApnsPHP (PHP)", func(h *Habits) bool { return enhanced(h) && h.Counts && h.First == 1 }},
	{"java-apns or JavaPNS (Java)", func(h *Habits) bool { return enhanced(h) && h.Counts }},
	{"a PHP script", func(h *Habits) bool { return h.Command == binproto.Simple && !h.Mixed }},
}

// Guess is the library that does so, or Unknown.
func (h *Habits) Guess() string {
	if h.Frames == 0 {
		return Unknown
	}
	for _, l := range libraries {
		if l.fits(h) {
			return l.name
		}
	}
	return Unknown
}

// framed fits who writes these items in this order, whether or not the last of them is a
// priority that is left out now and then.
func framed(items ...byte) func(*Habits) bool {
	layout := binproto.LayoutOf(items...)
	return func(h *Habits) bool {
		if h.Command != binproto.Framed || h.Mixed {
			return false
		}
		return h.Layout == layout || h.Priorities && withoutPriority(h.Layout) == withoutPriority(layout)
	}
}

func enhanced(h *Habits) bool { return h.Command == binproto.Enhanced && !h.Mixed }

// fromZero fits who numbers from 0, anew for each connection.
func fromZero(h *Habits) bool { return h.First == 0 && (h.Counts || h.Frames == 1) }
