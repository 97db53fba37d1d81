package gateway

import "crypto/tls"

// mostEarly is how many arrivals at most wait for their hellos on the crew.
const mostEarly = 32

// start does the handshake, and what follows if it succeeds, on a goroutine of the
// crew, whose stack has grown for it. A few wait for their hellos there too, and are
// spared a switch; of more, as of strangers who say nothing, each has a small goroutine.
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

// goOn does the handshake over conn, if there is one, and ends the arrival. A failure may
// take its time, and has a goroutine of its own.
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
