package fleet

// Verb is what the machine wants done.
type Verb uint8

// What the machine wants done for an app.
const (
	// Claim asks the store for the app; answer with Claimed or Refused.
	Claim Verb = iota + 1

	// Take loads what is stored of the app and what waits of it, in Epoch; answer with Taken.
	Take

	// Open makes the waiting sessions local ones; from now on packets are written.
	Open

	// Loosen makes the waiting sessions local ones; they and those that are local already go
	// on without answers. Feedback readers are closed.
	Loosen

	// GoOn writes packets for loose sessions again: no other node had the app meanwhile.
	GoOn

	// End ends the local sessions with status 10, delivers what is in memory, and drops what
	// was loaded from the shared store: another node has the app.
	End

	// Drop forgets what was taken of the app before any session was opened on it: the app has
	// moved on meanwhile.
	Drop

	// Carry carries the waiting sessions to Node or, if that is empty, has them ask again.
	Carry

	// Release reads what the app's sessions have sent, writes down what is left, and gives the
	// app in Epoch to Node; answer with Given.
	Release

	// Decline tells the store that any node may have the app, which belongs to this one in
	// Epoch though it is not configured with it; answer with Declined.
	Decline
)

// String names the verb, for the log.
func (v Verb) String() string {
	return [...]string{"", "claim", "take", "open", "loosen", "go on", "end", "drop", "carry", "release", "decline"}[v]
}

// Action is something that the machine wants done. Actions are started in their order; none
// waits for another to finish.
type Action struct {
	Verb  Verb
	App   string
	Epoch uint64 // of Take, Release and Decline
	Node  string // of Carry and Release
}
