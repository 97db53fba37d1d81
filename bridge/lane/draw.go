package lane

import "slices"

// spend lets go who stands at the doors of ns, as far as credit goes, and has the logs drawn from:
// from anywhere, for those that fail for themselves may stand together. Of what is left for those
// that come back, the most is for the logs: hundreds of them may fail for themselves, and each would
// cost what a good answer has given.
func (l *Lane) spend(door *Door, ns ...*Line) {
	for _, n := range ns {
		for door.credit > 0 && n.atDoor.never.size > 0 {
			l.admit(n, n.atDoor.never.any(l.Random))
			door.credit--
		}
	}
	kept := 0
	if !l.quiet && slices.ContainsFunc(ns, l.logged) {
		kept = door.credit - door.credit/4
	}
	for _, n := range ns {
		for door.credit > kept && n.atDoor.size > 0 {
			l.admit(n, n.atDoor.first())
			door.credit--
			l.Wake = true // who stands behind it is perhaps not late
		}
	}
	if door.dry {
		return // the logs are read from their beginning, to pass over who waits
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

// draw lets k probes go: such as were never asked, from anywhere, of the lines in open, else of
// those in shut, or else of all such as were, who were asked longest ago.
func (l *Lane) draw(open, shut []*Line, k int) {
	all := slices.Concat(open, shut)
	left := l.drawFromMemory(open, k)
	before := l.puts.len() + l.inLogs(open) // what is on its way to a log is written before it is drawn
	if before == 0 || len(open) == 0 || l.quiet {
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
	case left > 0 && before+l.inLogs(shut) > 0 && !l.quiet:
		l.draws, l.Wake = append(l.draws, draw{lines: all, n: left}), true
	case left == k:
		l.askAgain(all, k)
	}
}

// drawFromMemory lets up to k probes go from ns that were never asked, and gives how many of
// k are left.
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

// hasNew reports whether a device stands at the doors of n that was never asked.
func (n *Line) hasNew() bool { return n.atDoor.never.size > 0 }

// askAgain lets one go that was asked before; behind 5xx up to k, of each line in turn. None
// is left that was not: one that comes is asked soon.
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
			l.admit(n, n.atDoor.first())
			k--
			idle = 0
		}
	}
}
