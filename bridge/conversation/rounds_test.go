package conversation

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// However many rounds come on two connections, they do not push out the notes by which the
// rounds on the first one are recognised.
func TestRulesRoundsLeaveNotes(t *testing.T) {
	rounds := func(format string) string {
		var all strings.Builder
		for i := range maxNotes + 1 {
			fmt.Fprintf(&all, format+"\n", 9+i)
		}
		return all.String()
	}
	play(t, `
			open A
			A 1 x
			A 2 a
			A 3 y
			A 4 b
			A bad y
			A bad x   -> packet A 8 1
			A ok a
			A ok b
			wait 50ms
			open B
			B 1 a     -> swallow
			B 2 y     -> swallow, packet B 8 2
			B 3 b     -> swallow
			wait 50ms
			`+rounds("B %d b -> swallow")+`
			A 5 a     -> swallow
			A 6 y     -> swallow
			`+rounds("A %d y -> swallow")+`
			A 7 a     -> swallow
		`)
}

// TestRulesLongTailOvertakes: a tail of thousands, sent again on a new connection, overtakes
// its own rounds on the old one. All of these are recognised.
func TestRulesLongTailOvertakes(t *testing.T) {
	const tail = 5000
	each := func(format string, first int) string {
		var all strings.Builder
		for i := range tail {
			fmt.Fprintf(&all, format+"\n", i, first+i)
		}
		return all.String()
	}
	play(t, `
			open A
			A 1 x
			`+each("A %[2]d t%[1]d", 2)+`
			A bad x    -> packet A 8 1
			`+each("A ok t%[1]d", 0)+`
			wait 50ms
			open B
			`+each("B %[2]d t%[1]d -> swallow", 1)+`
			`+each("A %[2]d t%[1]d -> swallow", tail+2)+`
			`+each("A %[2]d t%[1]d -> swallow", 2*tail+2)+`
		`)
}

// TestRulesRememberedRoundsLeaveNone: a round of a long tail on a second failed connection is
// remembered, and leaves no notes. So it does not push out the note by which a round on the
// first failed connection is recognised. If the second packet turns out to be unread, what was
// remembered behind it is noted after all, and rounds on the first are recognised by that too.
func TestRulesRememberedRoundsLeaveNone(t *testing.T) {
	tail := func(format string) string {
		var all strings.Builder
		for i := range maxNotes + 1 {
			all.WriteString(strings.ReplaceAll(format, "N", strconv.Itoa(i+3)) + "\n")
		}
		return all.String()
	}
	play(t, `
			open A
			A 1 x
			A 2 a
			`+tail("A N tN")+`
			A bad x    -> packet A 8 1
			A ok a
			`+tail("A ok tN")+`
			wait 50ms
			open B
			B 1 a      -> swallow
			B 2 y
			B bad y    -> packet B 8 2
			wait 50ms
			`+tail("B N tN -> swallow")+`
			A 99999 a  -> swallow
			B ends
			B closes   -> feedback y
			A 100000 t`+strconv.Itoa(maxNotes)+` -> swallow
		`)
}
