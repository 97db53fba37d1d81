package h2conn

// expire ends the requests whose time has come, and finds the next deadline.
// There is no timer of a request: the connection's one timer runs at the
// earliest deadline, which with a common time-out is once in that time.
func (m *machine) expire(now int64) {
	if m.earliest > now {
		return
	}
	m.earliest = never
	for i := range m.at {
		s := &m.at[i]
		if s.id == 0 {
			continue
		}
		if m.deadline[i] > now {
			m.earliest = min(m.earliest, m.deadline[i])
			continue
		}
		if s.whole == 0 && s.resp == nil { // the server has never had it
			m.cancel(s, Unprocessed, ErrDeadline)
			continue
		}
		m.cancel(s, TimedOut, ErrDeadline)
	}
}
