package h2conn

import "testing"

// The writer gives way to others only beyond an eighth of what may be open: of our own bound or
// the server's, whichever is lower.
func TestGivesWayOnlyWhenLoaded(t *testing.T) {
	for name, c := range map[string]struct {
		ours   int
		theirs uint32
		open   int
		want   bool
	}{
		"an eighth of ours":     {1000, 5000, 125, false},
		"more of ours":          {1000, 5000, 126, true},
		"an eighth of theirs":   {1000, 100, 12, false},
		"more of theirs":        {1000, 100, 13, true},
		"a server that takes 1": {1000, 1, 1, true},
		"nothing is under way":  {1000, 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(&Config{MaxStreams: c.ours})
			m.peer.maxStreams, m.open = c.theirs, c.open
			if m.isLoaded() != c.want {
				t.Errorf("%d open of %d: got %v", c.open, m.limit(), !c.want)
			}
		})
	}
}
