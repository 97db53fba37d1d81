package report

import "apnsbridge/binproto"

// numbering is how a library names its notifications.
type numbering uint8

const (
	anyNumbers numbering = iota // its program chooses them
	fromZero                    // 0, 1, 2 … anew on each connection
	fromOne                     // 1, 2, 3 … anew on each connection
	counting                    // one more each time, over all connections
	oneNumber                   // always the same
	noNumbers
)

// library is what was recorded of one (the captures behind binproto's tests, and what the libraries' sources have).
type library struct {
	name, language string
	stacks         []Stack // that may be under it; none: not known
	command        binproto.Command
	items          []byte // of a framed notification
	priorities     bool   // they come and go
	numbers        numbering
	expiry         func(Expiry) bool
	fits           func(*Habits) bool // more that has to be so; nil: nothing
	byStack        bool               // its frames could be anyone's: it is named where the hello bears it out
}

var (
	underPHP    = []Stack{PHP, OpenSSL}
	underPython = []Stack{Python, OpenSSL}
	underNode   = []Stack{Node, OpenSSL}
	underSSL    = []Stack{OpenSSL}
	five        = []byte{1, 2, 3, 4, 5}
)

func is(one Expiry) func(Expiry) bool { return func(e Expiry) bool { return e == one } }
func common(e Expiry) bool            { return !e.particular() }

var libraries = []library{
	{name: "pushy", language: "Java", stacks: []Stack{Java}, command: binproto.Framed, items: []byte{3, 1, 2, 4, 5},
		numbers: counting, expiry: common},
	{name: "houston", language: "Ruby", stacks: underSSL, command: binproto.Framed, items: []byte{1, 2, 3},
		numbers: fromZero, expiry: is(NoExpiry)},
	{name: "node-apn 1.x", language: "Node", stacks: underNode, command: binproto.Framed, items: five, priorities: true,
		numbers: fromZero, expiry: common},
	{name: "node-apn 1.x", language: "Node", stacks: underNode, command: binproto.Framed, items: five[:4],
		numbers: fromZero, expiry: common},
	{name: "apns4erl", language: "Erlang", stacks: []Stack{Erlang}, command: binproto.Framed, items: five,
		numbers: fromZero, expiry: common},
	{name: "apns4erl", language: "Erlang", stacks: []Stack{Erlang}, command: binproto.Framed, items: five, expiry: common,
		byStack: true},
	{name: "libcapn", language: "C", stacks: underSSL, command: binproto.Framed, items: five, numbers: fromZero,
		expiry: common},
	{name: "timehop/apns", language: "Go", stacks: []Stack{Go}, command: binproto.Framed, items: five, numbers: counting,
		expiry: is(ZeroExpiry)},
	{name: "anachronistic/apns", language: "Go", stacks: []Stack{Go}, command: binproto.Framed, items: five,
		expiry: is(ZeroExpiry), fits: (*Habits).single},
	{name: "PyAPNs", language: "Python", stacks: underPython, command: binproto.Framed, items: five, numbers: oneNumber,
		expiry: common},
	{name: "PyAPNs", language: "Python", stacks: underPython, command: binproto.Framed, items: five, numbers: counting,
		expiry: is(SomeExpiry)},
	{name: "PyAPNs", language: "Python", stacks: underPython, command: binproto.Framed, items: five, numbers: counting,
		expiry: is(ZeroExpiry), byStack: true},
	{name: "rpush", language: "Ruby", stacks: underSSL, command: binproto.Framed, items: five, numbers: counting,
		expiry: is(SomeExpiry)},
	{name: "rpush", language: "Ruby", stacks: underSSL, command: binproto.Framed, items: five, expiry: is(OneDay)},

	{name: "java-apns", language: "Java", stacks: []Stack{Java}, command: binproto.Enhanced, numbers: counting,
		expiry: is(IntMax)},
	{name: "java-apns", language: "Java", stacks: []Stack{Java}, command: binproto.Enhanced, numbers: counting,
		expiry: common},
	{name: "JavaPNS", language: "Java", stacks: []Stack{Java}, command: binproto.Enhanced, numbers: counting,
		expiry: is(SomeExpiry)},
	{name: "PushSharp", language: ".NET", command: binproto.Enhanced, numbers: counting, expiry: is(UintMax)},
	{name: "ApnsPHP", language: "PHP", stacks: underPHP, command: binproto.Enhanced, numbers: fromOne, expiry: common,
		fits: func(h *Habits) bool { return !h.Pace.bursts() }},
	{name: "a script", language: "PHP", stacks: underPHP, command: binproto.Enhanced, numbers: fromZero, expiry: common},
	{name: "a script", language: "PHP", stacks: underPHP, command: binproto.Enhanced, numbers: counting, expiry: common,
		byStack: true},
	{name: "a script", language: "PHP", stacks: underPHP, command: binproto.Enhanced, numbers: oneNumber, expiry: common,
		byStack: true},
	{name: "apnagent", language: "Node", stacks: underNode, command: binproto.Enhanced, numbers: fromZero, expiry: common},
	{name: "grocer", language: "Ruby", stacks: underSSL, command: binproto.Enhanced, numbers: oneNumber, expiry: common},
	{name: "grocer", language: "Ruby", stacks: underSSL, command: binproto.Enhanced, numbers: counting, expiry: common,
		byStack: true},
	{name: "PyAPNs", language: "Python", stacks: underPython, command: binproto.Enhanced, numbers: oneNumber,
		expiry: common},
	{name: "PyAPNs", language: "Python", stacks: underPython, command: binproto.Enhanced, numbers: counting,
		expiry: common, byStack: true},
	{name: "AnyEvent::APNS", language: "Perl", stacks: underSSL, command: binproto.Enhanced, numbers: counting,
		expiry: is(SomeExpiry), byStack: true},

	{name: "a script", language: "PHP", stacks: underPHP, command: binproto.Simple, numbers: noNumbers,
		expiry: is(NoExpiry)},
	{name: "PyAPNs", language: "Python", stacks: underPython, command: binproto.Simple, numbers: noNumbers,
		expiry: is(NoExpiry)},
	{name: "apnagent", language: "Node", stacks: underNode, command: binproto.Simple, numbers: noNumbers,
		expiry: is(NoExpiry)},
}
