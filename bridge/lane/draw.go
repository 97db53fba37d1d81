package lane

import "slices"

// spend sends what stands at the doors of ns, as far as the credit goes, and has the logs drawn
// from. Draws come from anywhere in a log, for items that fail on their own account may stand
// together. Most of the credit that could go to items that were asked about before is kept for
// the logs: hundreds of those may fail on their own account, and each would use up what a good
// answer has given.
func (l *Lane) spend(door *Door, ns ...*Line) {
	for _, n := range ns {
		for door.credit > 0 && n.atDoor.never.size > 0 {
			l.admit(n, n.atDoor.never.any(l.Random))
			door.credit--
		}
	}
	kept := 0
	if !l.keepsQuiet() && slices.ContainsFunc(ns, l.logged) {
		kept = door.credit - door.credit/4
	}
	for _, n := range ns {
		for door.credit > kept && n.atDoor.size > 0 {
			l.admit(n, n.atDoor.first())
			door.credit--
			l.Wake = true // the next of its device may never have been asked about
		}
	}
	if door.dry {
		return // the logs are read from their beginning, to pass over devices that wait
	}
	if kept > 0 {
		l.draws, l.Wake = append(l.draws, draw{lines: ns, n: kept, door: door}), true
		door.credit -= kept
	}
}

// admit lets d through the doors of n, where it stands.
func (l *Lane) admit(n *Line, d *device) {
	l.forget(d)
	d.pass = l.closed(n)
	l.next(d)
}

// draw is what is to be drawn from the logs of lines: a probe, or what a door has credit for.
type draw struct {
	lines []*Line
	n     int
	door  *Door // nil: a probe
}

// draw sends k probes. It takes items that were never asked about, from anywhere, first of the
// lines in open and then of those in shut. If there are none, it takes those that were asked
// about longest ago.
func (l *Lane) draw(open, shut []*Line, k int) {
	all := slices.Concat(open, shut)
	left := l.drawFromMemory(open, k)
	before := l.puts.len() + l.inLogs(open) // what is on its way to a log is written before the draw
	if before == 0 || len(open) == 0 || l.keepsQuiet() {
		left = l.drawFromMemory(shut, left)
	}
	if before <= left && !slices.ContainsFunc(open, (*Line).hasNew) {
		l.Door.stale = true
	}
	for _, n := range all {
		if !n.hasNew() && l.inLogs([]*Line{n}) <= left {
			n.Door.stale = true
		}
	}
	switch {
	case left > 0 && before+l.inLogs(shut) > 0 && !l.keepsQuiet():
		l.draws, l.Wake = append(l.draws, draw{lines: all, n: left}), true
	case left == k:
		l.askAgain(all, k)
	}
}

// drawFromMemory sends up to k probes from ns that were never asked about, and gives how many
// of k are left.
func (l *Lane) drawFromMemory(ns []*Line, k int) int {
	for _, n := range ns {
		for k > 0 {
			d := n.atDoor.never.anyInMemory(l.Random)
			if d == nil {
				break
			}
			l.forget(d)
			d.pass = true
			l.next(d)
			k--
		}
	}
	return k
}

// inLogs is how many are in the logs of ns.
func (l *Lane) inLogs(ns []*Line) (k int) {
	for _, n := range ns {
		if l.logged(n) {
			k += n.disk.Waiting()
		}
	}
	return k
}

// hasNew reports whether a device waits at the doors of n whose first item was never asked about.
func (n *Line) hasNew() bool { return n.atDoor.never.size > 0 }

// askAgain sends one item that was asked about before; after 5xx up to k, from each line in
// turn. No other is left: the next one that comes is asked about soon.
func (l *Lane) askAgain(ns []*Line, k int) {
	l.Door.stale = true
	spoken := l.Door.spoken
	for _, n := range ns {
		n.Door.stale = true
		spoken = spoken || n.Door.spoken
	}
	if !spoken {
		k = min(k, 1)
	}
	for i, idle := l.Random.IntN(len(ns)), 0; k > 0 && idle < len(ns); i++ {
		n := ns[i%len(ns)]
		if idle++; n.atDoor.size > 0 {
			d := n.atDoor.first()
			// Many that say nothing of the topic may stand together; but where answers are lost, one that
			// is asked about a second time is given up.
			if n.Door.Reason == Topic && !n.Door.cut && n.atDoor.late.size > 0 {
				d = n.atDoor.late.any(l.Random)
			}
			l.admit(n, d)
			k--
			idle = 0
		}
	}
}
