package gateway

import "crypto/tls"

// mostEarly is how many arrivals may wait for their hellos on the crew.
const mostEarly = 32

// start does the handshake, and what follows if it succeeds, on a goroutine of the crew,
// whose stack has already grown for it. A few arrivals also wait for their hellos there,
// which saves a switch. If there are more, as with strangers that say nothing, each of
// them waits in a small goroutine of its own.
func (a *arrival) start() {
	f := a.front
	f.running.Add(1)
	if f.early.Add(1) <= mostEarly {
		f.crew.do(func() {
			defer f.running.Done()
			conn, err := a.listen()
			f.early.Add(-1)
			a.goOn(conn, err)
		})
		return
	}
	f.early.Add(-1)
	go func() {
		conn, err := a.listen()
		if conn == nil {
			defer f.running.Done()
			a.conclude(err)
			return
		}
		f.crew.do(func() {
			defer f.running.Done()
			a.goOn(conn, nil)
		})
	}()
}

// goOn does the handshake over conn, if that is not nil, and concludes the arrival. After a
// failure that may take some time, so it gets a goroutine of its own.
func (a *arrival) goOn(conn *tls.Conn, err error) {
	if conn != nil {
		err = a.shakeHands(conn)
	}
	if err != nil {
		a.front.running.Go(func() { a.conclude(err) })
		return
	}
	a.conclude(nil)
}
