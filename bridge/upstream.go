package bridge

// upstream carries notifications to one endpoint of APNs.
type upstream interface {
	// Send takes r and returns at once. Before each request it asks r.begin,
	// which may say that r is not to go; else it calls app.answered exactly once,
	// from any goroutine and holding no lock.
	Send(r *record)

	// Renew mints a JWT instead of the one given, which APNs has refused, and
	// takes a fresh connection; if that was done already, it does nothing.
	Renew(bearer string)

	// Retire ends the connections when all that was sent is answered.
	Retire()

	// Close ends the connections at once, and returns when nothing runs.
	Close()
}
