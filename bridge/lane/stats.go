package lane

import "time"

// Stats is a snapshot of a lane.
type Stats struct {
	Reason    Reason        // why its door is closed
	Since     time.Duration // when that door last changed
	Probes    uint64        // let through by all its doors
	Lines     int
	Closed    []LineStats // lines whose doors are closed
	Unstored  int         // items that are in memory only
	Unwritten int         // items on their way to disk, some of them unstored
	Asleep    int         // devices that wait, each with an entry
	AtDoor    int         // of those, the ones at a door
	Ahead     int64       // bytes in memory that were read from disk
}

// LineStats is a line whose door is closed.
type LineStats struct {
	Name   string
	Reason Reason
	Since  time.Duration
}

// Stats gives the present figures.
func (l *Lane) Stats() Stats {
	st := Stats{Reason: l.Door.Reason, Since: l.Door.Since, Probes: l.Door.Probes, Lines: len(l.lines),
		Unstored: l.unstored, Unwritten: l.Unwritten(), Asleep: l.asleep, Ahead: l.ahead}
	for _, n := range l.lines {
		st.Probes += n.Door.Probes
		st.AtDoor += n.atDoor.size
		if n.Door.Reason != Open {
			st.Closed = append(st.Closed, LineStats{n.Name, n.Door.Reason, n.Door.Since})
		}
	}
	return st
}

// Oldest is the earliest time that taken gives for an item in memory whose device is
// asleep; 0 if there is none.
func (l *Lane) Oldest(taken func(*Item) int64) (oldest int64) {
	look := func(d *device) {
		if d == nil || d.first == nil {
			return
		}
		if t := taken(d.first); oldest == 0 || t < oldest {
			oldest = t
		}
	}
	for _, d := range l.waiting {
		look(d)
	}
	for _, n := range l.lines {
		for _, q := range [...]*queue{&n.atDoor.never, &n.atDoor.late} {
			for _, d := range q.list {
				look(d)
			}
		}
	}
	return oldest
}
