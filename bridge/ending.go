package bridge

// End lets the session come to its end as those of a removed app do: the
// provider is told with status 10 where something may be lost otherwise, and
// what it has written until it ends the connection is still delivered. It may be
// called from any goroutine and more than once.
func (s *Session) End() { s.end() }
