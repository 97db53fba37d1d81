package conversation

import (
	"fmt"
	"strings"
	"testing"
)

// Each history fails if its rule is taken away. The numbers are those of the
// rules in the package's design; a history without an outcome behind its arrow
// says that nothing may happen.
func TestRules(t *testing.T) {
	for _, h := range []struct{ name, script string }{
		{"1 the first failure once", `
			open A
			A 10 a
			A 11 x
			A 12 y
			A bad y
			A bad x
			A ok a     -> packet A 8 11
		`},
		{"1 without identifier", `
			open A
			A - x
			A - a
			A bad x    -> feedback x
			A 3 y
			A ok a
			A bad y    -> packet A 8 3
		`},
		{"1 the identifier of the one before", `
			open A
			A 0 a
			A 0 x
			A bad x    -> feedback x
			A ok a
		`},
		{"1 the identifier of the one behind", `
			open A
			A 0 x
			A 0 a
			A bad x    -> feedback x
		`},
		{"1 the identifier of one that was not told", `
			open A
			A 7 x
			A 7 y
			A bad x    -> feedback x
			A bad y    -> feedback y
			A 8 a
			A ok a
			A 7 z
			A bad z    -> feedback z
		`},
		{"1 the identifier of one that was taken over", `
			open A
			A 7 slow
			A 8 a
			A 9 b
			A bad a
			wait 1s    -> take over A slow, packet A 8 8
		`},
		{"1 the identifier of one that somebody else answers for", `
			open A
			A 7 x
			A spooled x
			A 8 a
			A ok a
			A 7 y
			A bad y    -> feedback y
		`},
		{"1 the identifier of a follower of such a one", `
			open A
			A 1 w
			A 7 x
			A bad w    -> packet A 8 1
			open B
			B 7 x      -> swallow
			A spooled x
			B 8 a
			B ok a
			B 7 y
			B bad y    -> feedback y
		`},
		{"1 packets switched off", `
			open A continue
			A 1 x
			A 2 a
			A bad x    -> feedback x
			A 3 y
			A ok a
			A bad y    -> feedback y
			A rejects 4 7 -> packet A 7 4
		`},
		{"1 a status that stops libraries", `
			open A
			A 1 x
			A refused x 1
			A 2 y
			A refused y 128
			A 3 z
			A refused z 7 -> packet A 7 3
		`},
		{"1 refused at parsing, in its order", `
			open A
			A 1 a
			A rejects 2 5
			A 3 b
			A ok a     -> packet A 5 2
			open B
			B 3 b      -> swallow
		`},
		{"1 a kind that never sends again", `
			open A
			A 5 x
			A 6 a
			A 7 b
			A 8 c
			A 9 d
			A 10 e
			A bad x    -> packet A 8 5
			A ok a
			A ok b
			A ok c
			A ok d
			A ok e
			A ends heard
			A closes
			wait 121s
			open B
			B 11 y
			B bad y    -> feedback y
			open C elsewhere
			C 12 z
			C bad z    -> packet C 8 12
		`},
		{"2 what is behind is known before the packet is out", `
			open A
			open B
			A 1 x
			A 2 a
			A bad x    -> packet A 8 1
			B 2 a      -> swallow
			A ok a
		`},
		{"3 ended before the packet, and not heard", `
			open A
			A 1 x
			A 2 a
			A ends
			A bad x    -> packet A 8 1
			A closes   -> feedback x
			A ok a
			open B
			B 2 a
		`},
		{"3 ended before the packet was acknowledged", `
			open A
			A 1 x
			A 2 a
			A ok a
			A bad x    -> packet A 8 1
			A ends
			A closes   -> feedback x
			open B
			B 2 a
		`},
		{"3 ended its side only, and heard", `
			open A
			A 1 x
			A 2 a
			A ends
			A bad x    -> packet A 8 1
			A ok a
			A closes heard
			open B
			B 2 a      -> swallow
		`},
		{"3 a reset says nothing", `
			open A
			A 1 x
			A 2 a
			A ok a
			A bad x    -> packet A 8 1
			A closes
			open B
			B 2 a      -> swallow
		`},
		{"4 in the window, in linger, and swallowed", `
			open A
			A 1 x
			A 2 a
			A bad x    -> packet A 8 1
			A 3 b
			A ok a
			A ok b
			open B
			B 50 y
			B 2 a      -> swallow
			B bad y    -> packet B 8 50
			B 3 b      -> swallow
			open C
			C 2 a      -> swallow
			C 3 b      -> swallow
			C 2 a
		`},
		{"4 not those that were not delivered", `
			open A
			A 1 x
			A 2 gone
			A 3 late
			A 4 dropped
			A 5 gone2
			A gone gone
			A expired late
			A bad x    -> packet A 8 1
			A dropped dropped
			A gone gone2
			open B
			B 2 gone
			B 3 late
			B 4 dropped
			B 5 gone2
		`},
		{"5 as long as the provider has not ended the connection", `
			open A
			A 1 x
			A bad x    -> packet A 8 1
			A 2 a
			A ok a
			wait 20m
			A 3 b
			A ok b
			wait 20m
			A ends heard
			A closes
			wait 100s
			open B
			B 2 a      -> swallow
			B 3 b      -> swallow
		`},
		{"6 the same identifier, from anywhere", `
			open A
			A 9 x
			A 20 a
			A bad x    -> packet A 8 9
			A ok a
			open B elsewhere framed
			B 20 a     -> swallow
		`},
		{"6 another identifier, not positional", `
			open A
			A 9 x
			A 20 a
			A bad x    -> packet A 8 9
			A ok a
			open B
			B 1 a
		`},
		{"6 another identifier, positional", `
			open A
			A 0 x
			A 1 a
			A bad x    -> packet A 8 0
			A ok a
			open B
			B 0 a      -> swallow
		`},
		{"6 another identifier, positional, another kind", `
			open A
			A 0 x
			A 1 a
			A bad x    -> packet A 8 0
			A ok a
			open B elsewhere
			B 0 a
			open C framed
			C 0 a
			open D
			D 0 a      -> swallow
		`},
		{"6 another identifier, one that is no name", `
			open A
			A 9 x
			A 20 a
			A 20 b
			A 21 c
			A bad x    -> packet A 8 9
			A ok a
			A ok b
			A ok c
			open B
			B 1 a      -> swallow
			B 2 b      -> swallow
			B 3 c
		`},
		{"6 another identifier, one that turns out to be no name", `
			open A
			A 9 x
			A bad x    -> packet A 8 9
			A 20 a
			A 20 b
			A ok a
			A ok b
			open B
			B 1 a      -> swallow
		`},
		{"6 the identifier that is no name, another kind", `
			open A
			A 9 x
			A 20 a
			A 20 b
			A bad x    -> packet A 8 9
			A ok a
			A ok b
			open B elsewhere
			B 20 a
		`},
		{"6 another identifier, known to keep them", `
			open A
			A 1 x
			A 2 a
			A 3 b
			A 4 c
			A 5 d
			A bad x    -> packet A 8 1
			A ok a
			A ok b
			A ok c
			A ok d
			open B
			B 2 a      -> swallow
			B 3 b      -> swallow
			B 4 c      -> swallow
			B 0 d
		`},
		{"6 another identifier, known to renumber", `
			open A
			A 1 x
			A 2 a
			A 3 b
			A 4 c
			A bad x    -> packet A 8 1
			A ok a
			A ok b
			A ok c
			open B
			B 1 a      -> swallow
			B 2 b      -> swallow
			B 3 c      -> swallow
			open C
			C 70 y
			C 80 d
			C bad y    -> packet C 8 70
			C ok d
			open D
			D 1 d      -> swallow
		`},
		{"6 the same identifier by counting is no sign of keeping it", `
			open A
			A 1 x
			A 2 a
			A 3 b
			A 4 c
			A ok a
			A ok b
			A ok c
			A bad x    -> packet A 8 1
			open B
			B 1 x
			B 2 a      -> swallow
			B 3 b      -> swallow
			B 4 c      -> swallow
			B bad x    -> packet B 8 1
			open C
			C 1 a      -> swallow
			C 2 b      -> swallow
			C 3 c      -> swallow
		`},
		{"6 on the failing connection", `
			open A
			A 0 x
			A 1 a
			A 2 b
			A 3 c
			A bad x    -> packet A 8 0
			A ok a
			A ok b
			A ok c
			A 1 a      -> swallow
			A 4 b
			A ok b
			wait 6s
			A 3 c
		`},
		{"6 the same identifier before another", `
			open A
			A 0 x
			A 1 a
			A 2 a
			A bad x    -> packet A 8 0
			A ok a
			open B
			B 2 a      -> swallow
			A bad a    -> packet B 8 2
		`},
		{"6 the oldest first", `
			open A
			A 0 x
			A 1 a
			A 2 a
			A bad x    -> packet A 8 0
			open B
			B 0 a      -> swallow
			B 1 y
			B bad y
			A ok a     -> packet B 8 1
			A ok a
		`},
		{"6 one swallows one", `
			open A
			A 1 x
			A 2 a
			A bad x    -> packet A 8 1
			A ok a
			open B
			B 2 a      -> swallow
			B 2 a
		`},
		{"7 refused with its own identifier", `
			open A
			A 1 x
			A 2 y
			A bad x    -> packet A 8 1
			A bad y
			open B
			B 0 a
			B 1 y      -> swallow
			B ok a     -> packet B 8 1
		`},
		{"7 accepted by somebody who answers for it", `
			open A
			A 1 x
			A 2 a
			A bad x    -> packet A 8 1
			A spooled a
			open B
			B 2 a      -> swallow
			B 3 y
			B bad y    -> packet B 8 3
		`},
		{"7 follows one that has no verdict yet", `
			open A
			A 1 x
			A 2 y
			A 3 a
			A bad x    -> packet A 8 1
			open B
			B 1 y      -> swallow
			B 2 a      -> swallow
			A ok a
			A bad y    -> packet B 8 1
			open C
			C 1 a      -> swallow
		`},
		{"7 sent after all, and the later expiry wins", `
			open A
			A 1 x
			A 2 a until 100
			A 3 b until 900
			A bad x    -> packet A 8 1
			open B
			B 1 a until 200 -> swallow
			B 2 b until 300 -> swallow
			A expired a -> forward B a until 200
			A dropped b -> forward B b until 900
			B bad a    -> packet B 8 1
			B ok b
			open C
			C 1 b      -> swallow
		`},
		{"8 ten minutes for an unknown kind that goes on sending", `
			open A
			A 1 x
			A 2 a
			A 3 b
			A bad x    -> packet A 8 1
			A ok a
			A ok b
			A ends heard
			A closes
			open B
			wait 100s
			B 100 c
			wait 100s
			B 101 d
			wait 100s
			B 102 e
			wait 100s
			B 103 f
			wait 100s
			B 104 g
			wait 99s
			B 2 a      -> swallow
			wait 2s
			B 3 b
		`},
		{"8 two minutes of silence", `
			open A
			A 1 x
			A 2 a
			A bad x    -> packet A 8 1
			A ok a
			A ends heard
			A closes
			open C elsewhere
			wait 119s
			C 100 other
			wait 2s
			open B
			B 2 a
		`},
		{"8 an hour for a proven resender", `
			open A
			A 1 x
			A 2 a
			A 3 b
			A 4 c
			A 5 d
			A 6 e
			A bad x    -> packet A 8 1
			A ok a
			A ok b
			A ok c
			A ok d
			A ok e
			A ends heard
			A closes
			open B
			B 2 a      -> swallow
			B 3 b      -> swallow
			B 4 c      -> swallow
			wait 59m
			B 5 d      -> swallow
			wait 2m
			B 6 e
		`},
		{"8 not before the original has its verdict", `
			open A
			A 1 x
			A 2 a
			A bad x    -> packet A 8 1
			A ends heard
			A closes
			wait 30m
			A ok a
			wait 100s
			open B
			B 2 a      -> swallow
		`},
		{"8 downtime does not count", `
			open A
			A 1 x
			A 2 a
			A 3 y
			A bad x    -> packet A 8 1
			A ok a
			A bad y
			A closes
			wait 100s
			restart after 3h
			wait 100s
			open B
			B 2 a      -> swallow
			B 3 y      -> swallow, packet B 8 3
		`},
		{"8 downtime, and the life goes on", `
			open A
			A 1 x
			A 2 a
			A bad x    -> packet A 8 1
			A ok a
			A ends heard
			A closes
			restart after 3h
			wait 121s
			open B
			B 2 a
		`},
		{"8 killed: what had no verdict is delivered when it comes again", `
			open A
			A 1 x
			A 2 a
			A 3 b
			A ok a
			A bad x    -> packet A 8 1
			restart killed
			open B
			B 2 a      -> swallow
			B 3 b
		`},
		{"9 never, until the next run", `
			open A
			A 1 x
			A 2 a
			A 3 b
			A 4 c
			A 5 d
			A 6 e
			A bad x    -> packet A 8 1
			A ok a
			A ok b
			A ok c
			A ok d
			A ok e
			A ends heard
			A closes
			open B
			wait 60s
			B 100 f
			wait 61s
			B 101 y
			B ok f
			B bad y    -> feedback y
			B 2 a      -> swallow
			B 3 b      -> swallow
			B 4 c      -> swallow
			B 102 z
			B bad z    -> packet B 8 102
		`},
		{"9 a run is in order", `
			open A
			A 1 x
			A 2 a
			A 3 b
			A 4 c
			A 5 d
			A bad x    -> packet A 8 1
			A ok a
			A ok b
			A ok c
			A ok d
			A ends heard
			A closes
			open B
			B 4 c      -> swallow
			B 3 b      -> swallow
			B 2 a      -> swallow
			wait 3m
			B 5 d
		`},
		{"9 a run leaves nothing out", `
			open A
			A 1 x
			A 2 a
			A 3 b
			A 4 c
			A 5 d
			A 6 e
			A 7 f
			A bad x    -> packet A 8 1
			A ok a
			A ok b
			A ok c
			A ok d
			A ok e
			A ok f
			A ends heard
			A closes
			open B
			B 2 a      -> swallow
			B 4 c      -> swallow
			B 6 e      -> swallow
			wait 3m
			B 7 f
		`},
		{"9 a tail in doubt is no miss", `
			open A
			A 5 x
			A 6 a
			A 7 b
			A 8 c
			A 9 d
			A 10 e
			A ends
			A bad x    -> packet A 8 5
			A ok a
			A ok b
			A ok c
			A ok d
			A ok e
			wait 10m
			A closes   -> feedback x
			open B
			B 11 y
			B bad y    -> packet B 8 11
		`},
		{"9 never, for a day", `
			open A
			A 1 x
			A 2 a
			A 3 b
			A 4 c
			A 5 d
			A 6 e
			A bad x    -> packet A 8 1
			A ok a
			A ok b
			A ok c
			A ok d
			A ok e
			A ends heard
			A closes
			wait 23h
			open B
			B 101 y
			B bad y    -> feedback y
			wait 2h
			B 102 z
			B bad z    -> packet B 8 102
		`},
		{"9 one short tail is not enough, and half of it is none", `
			open A
			A 1 x
			A 2 a
			A bad x    -> packet A 8 1
			A ok a
			A ends heard
			A closes
			wait 121s
			open B
			B 11 y
			B 12 b
			B 13 c
			B bad y    -> packet B 8 11
			B ok b
			B ok c
			B ends heard
			B closes
			open C
			C 12 b     -> swallow
			wait 121s
			C 21 z
			C bad z    -> packet C 8 21
			C 22 d
			C ok d
			C ends heard
			C closes
			wait 121s
			open D
			D 31 w
			D bad w    -> feedback w
		`},
		{"9 habits outlive the gateway", `
			open A
			A 5 x
			A 6 a
			A 7 b
			A 8 c
			A 9 d
			A 10 e
			A bad x    -> packet A 8 5
			A ok a
			A ok b
			A ok c
			A ok d
			A ok e
			A ends heard
			A closes
			wait 121s
			restart killed
			open B
			B 11 y
			B bad y    -> feedback y
		`},
		{"10 the list begins anew", `
			open A
			A 1 a
			A 2 x
			A 3 b
			A ok a
			A ok b
			A bad x    -> packet A 8 2
			A ends heard
			A closes
			open B
			B 1 a
			B 2 x
			B 3 b
			B ok a
			B ok b
			B bad x    -> packet B 8 2
			B ends heard
			B closes
			open C
			C 1 a
			C 2 x
			C 3 b
			C ok a
			C bad x    -> feedback x
		`},
		{"10 not for a proven resender", `
			open A
			A 1 a
			A 2 x
			A 3 b
			A 4 c
			A 5 d
			A 6 e
			A ok a
			A ok b
			A ok c
			A ok d
			A ok e
			A bad x    -> packet A 8 2
			open B
			B 3 b      -> swallow
			B 4 c      -> swallow
			B 5 d      -> swallow
			B 1 a
			B 2 x
			B 6 e      -> swallow
		`},
		{"10 a list that was in the pipe already", `
			open B
			wait 1s
			open A
			A 1 a
			A 2 x
			A 3 b
			A ok a
			A ok b
			A bad x    -> packet A 8 2
			B 11 a
			B 12 x
			open C
			C 3 b      -> swallow
		`},
		{"10 the failed one alone begins no list", `
			open A
			A 1 a
			A 2 x
			A 3 b
			A ok a
			A ok b
			A bad x    -> packet A 8 2
			open B
			B 9 other
			B 2 x
			B 3 b      -> swallow
		`},
		{"10 nor do two that were sent again", `
			open D
			wait 1s
			open A
			A 1 a
			A 2 x
			A 3 b
			A ok a
			A ok b
			A bad x    -> packet A 8 2
			D 1 q
			D 12 a
			D 13 x
			D ok a
			D bad q    -> packet D 8 1
			open E
			E 12 a     -> swallow
			E 13 x     -> swallow
			E 3 b      -> swallow
		`},
		{"10 after a restart", `
			open A
			A 1 a
			A 2 x
			A 3 b
			A ok a
			A ok b
			A bad x    -> packet A 8 2
			restart
			open B
			B 1 a
			B 2 x
			B 3 b
			restart killed
			open C
			C 3 b
		`},
		{"11 refused in the tail", `
			open A
			A 1 x
			A 2 y
			A 3 z
			A bad x    -> packet A 8 1
			A bad y
			A bad z
			A ends heard
			A closes
			open B
			B 2 y      -> swallow, packet B 8 2
			wait 200s  -> feedback z
		`},
		{"12 stuck heads", `
			open A
			A 1 slow
			A 2 slower
			A 3 x
			A 4 a
			A ok a
			wait 10m
			A bad x
			wait 999ms
			wait 1ms   -> take over A slow, take over A slower, packet A 8 3
		`},
		{"12 a stuck head that follows another", `
			open A
			A 1 x
			A 2 slow
			A bad x    -> packet A 8 1
			open B
			B 2 slow   -> swallow
			B 3 y
			B bad y
			wait 1s    -> take over A slow, packet B 8 3
		`},
		{"12 not for a failure that is not told", `
			open A
			A 1 slow
			A - x
			A bad x    -> feedback x
			wait 10s
			A ok slow
		`},
		{"a resend that overtakes its original", `
			open A
			A 1 x
			A bad x    -> packet A 8 1
			open B
			B 2 a
			B ok a
			A 2 a      -> swallow
			A 3 a
			A 4 a
			open C
			C 2 a      -> swallow
			C 3 a      -> swallow
			C 4 a
		`},
		{"a resend that overtakes its original, from anywhere", `
			open A
			A 1 x
			A bad x    -> packet A 8 1
			open B elsewhere
			B 2 a
			B ok a
			A 2 a      -> swallow
		`},
		{"a resend that overtakes two originals", `
			open A
			A 1 x
			A bad x    -> packet A 8 1
			open B
			B 5 y
			B bad y    -> packet B 8 5
			open C
			C 9 a
			C ok a
			B 9 a      -> swallow
			A 9 a      -> swallow
		`},
		{"a resend that overtakes its original, on a connection that failed", `
			open A
			A 1 x
			A bad x    -> packet A 8 1
			open B
			B 5 y
			B bad y    -> packet B 8 5
			B 9 a
			B ok a
			open C
			C 9 a      -> swallow
			A 9 a      -> swallow
		`},
		{"something new before a packet is no resend", `
			open A
			open B
			open C
			C 1 w
			C bad w    -> packet C 8 1
			A 1 x
			B 2 a
			B ok a
			A bad x    -> packet A 8 1
			A 2 a
		`},
		{"a reset without packet", `
			open A
			A 1 a
			A 2 b
			A 3 c
			A ok a
			A closes
			open B
			B 1 a
			B 0 b
			B 2 b      -> swallow
			B 3 c      -> swallow
			A ok b
			A dropped c -> forward B c until 4294967295
		`},
		{"a reset without packet, the verdict is there", `
			open A
			A 1 a
			A 2 b
			A 3 c
			A closes
			A ok b
			open B
			B 2 b
			B 3 c      -> swallow
		`},
		{"a reset of a connection that its provider had ended", `
			open A
			A 1 a
			A ends
			A closes
			open B
			B 1 a
		`},
		{"an orderly end without packet", `
			open A
			A 1 a
			A ends     ->
			A ok a     -> close A
			A closes heard
		`},
		{"status 10 names the latest", `
			open A
			A 1 a
			A 2 b
			A ok a
			A ok b
			A shuts    -> packet A 10 2
			A 3 c
			A ok c
			A closes
			restart
			open B
			B 2 b      -> swallow
			B 3 c      -> swallow
			B 1 a
		`},
		{"status 10 with something unsettled", `
			open A
			A 1 a
			A 2 b
			A 3 c
			A ok a
			wait 10m
			A shuts    -> packet A 10 1
			A ok b
			A ok c
			A closes
			restart
			open B
			B 2 b      -> swallow
			B 3 c      -> swallow
		`},
		{"status 10 is no miss for the one it names", `
			open A
			A 1 a
			A ok a
			A shuts    -> packet A 10 1
			A ends heard
			A closes
			open B
			B 2 b
			B ok b
			B shuts    -> packet B 10 2
			B ends heard
			B closes
			wait 130s
			open C
			C 3 c
			C bad c    -> packet C 8 3
		`},
		{"status 10 is wasted on a kind that never sends again", `
			open A
			A 5 x
			A 6 a
			A 7 b
			A 8 c
			A 9 d
			A 10 e
			A bad x    -> packet A 8 5
			A ok a
			A ok b
			A ok c
			A ok d
			A ok e
			A ends heard
			A closes
			wait 121s
			open B
			B 11 y
			B ok y
			B shuts    -> close B
		`},
		{"status 10 does not name what libraries have forgotten", `
			open A
			A 1 a
			A ok a
			open B continue
			` + strings.Repeat("B - m\n", 100) + `
			A shuts    -> close A
			open C
			C 1 a
			C ok a
			` + strings.Repeat("B - m\n", 99) + `
			C shuts    -> packet C 10 1
		`},
		{"a quiet connection ends without a packet", `
			open A
			A 1 a
			A ok a
			wait 5s
			A shuts    -> close A
			open B
			B shuts    -> close B
		`},
		{"status 10 has nothing to name", `
			open A continue
			A 1 a
			A ok a
			A shuts    -> close A
			open B
			B 0 a
			B 0 b
			B ok a
			B ok b
			B shuts    -> close B
			open C
			C - a
			C ok a
			C shuts    -> close C
		`},
		{"nobody to tell once the connection is gone", `
			open A
			A 1 a
			A 2 x
			A 3 y
			A bad x
			A closes   -> feedback x
			A bad y    -> feedback y
			A ok a
		`},
		{"nobody to tell after a close without packet", `
			open A
			A 1 a
			A ok a
			wait 5s
			A shuts    -> close A
			A 2 x
			A bad x    -> feedback x
		`},
	} {
		t.Run(h.name, func(t *testing.T) { play(t, h.script) })
	}
}

// A proven resender is allowed six misses in a row.
func TestRulesSixMisses(t *testing.T) {
	proven := func(n int) string {
		return fmt.Sprintf(`
			open P%[1]d
			P%[1]d 9 x%[1]d
			P%[1]d 11 a%[1]d
			P%[1]d 12 b%[1]d
			P%[1]d 13 c%[1]d
			P%[1]d bad x%[1]d -> packet P%[1]d 8 9
			P%[1]d ok a%[1]d
			P%[1]d ok b%[1]d
			P%[1]d ok c%[1]d
			P%[1]d ends heard
			P%[1]d closes
			open Q%[1]d
			Q%[1]d 11 a%[1]d  -> swallow
			Q%[1]d 12 b%[1]d  -> swallow
			Q%[1]d 13 c%[1]d  -> swallow
			wait 2h`, n)
	}
	miss := func(n int) string {
		return fmt.Sprintf(`
			open M%[1]d
			M%[1]d 9 x%[1]d
			M%[1]d 11 a%[1]d
			M%[1]d bad x%[1]d -> packet M%[1]d 8 9
			M%[1]d ok a%[1]d
			M%[1]d ends heard
			M%[1]d closes
			wait 2m`, n)
	}
	script := proven(0)
	for n := range 5 {
		script += miss(10 + n)
	}
	script += proven(1)
	for n := range 6 {
		script += miss(20 + n)
	}
	play(t, script+`
			open A
			A 1 x
			A bad x -> feedback x`)
}
