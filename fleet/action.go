package fleet

// Verb is what the machine wants done.
type Verb uint8

// What the machine wants done for an app.
const (
	// Claim asks the store for it; answer with Claimed or Refused.
	Claim Verb = iota + 1

	// Take loads what was written and what waits of it, in Epoch; answer with Taken.
	Take

	// Open has sessions that wait be local ones, and what comes is answered for.
	Open

	// Loosen has sessions that wait, and those there are, go on without answers, and
	// its feedback readers be closed.
	Loosen

	// GoOn has loose sessions be answered for again: the app was no other's meanwhile.
	GoOn

	// End ends the local sessions with status 10, delivers what is in memory, and drops
	// what came from what others share: it is another's.
	End

	// Drop forgets what was taken of it, before any session was opened on that: it has
	// gone on meanwhile.
	Drop

	// Carry has sessions that wait be carried to Node, or, if that is empty, ask again.
	Carry

	// Release reads its sessions out, writes down what is left, and gives the app in
	// Epoch to Node; answer with Given.
	Release

	// Decline tells the store that any node may have the app, which is this one's in
	// Epoch though it is not configured with it; answer with Declined.
	Decline
)

// String names the verb, for the log.
func (v Verb) String() string {
	return [...]string{"", "claim", "take", "open", "loosen", "go on", "end", "drop", "carry", "release", "decline"}[v]
}

// Action is something that the machine wants done. Each is to be begun in its order;
// none waits for another.
type Action struct {
	Verb  Verb
	App   string
	Epoch uint64 // of Take, Release and Decline
	Node  string // of Carry and Release
}
