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

// postpone moves everything that is waited for. A PING that was answered is not: heard is as in
// checkHealth, which may not have looked at it yet. Nor does one move past now, or its answer
// would come before it.
func (m *machine) postpone(by, now, heard int64) {
	for i := range m.at {
		if m.at[i].id != 0 {
			m.deadline[i] += by
		}
	}
	if m.earliest != never {
		m.earliest += by
	}
	if heard > m.health.asked {
		m.health.asked = 0
	}
	for _, since := range []*int64{&m.health.asked, &m.health.write, &m.refill.barren} {
		if *since != 0 {
			*since = min(*since+by, now)
		}
	}
}
