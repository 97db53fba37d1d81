package apnssim

import "net"

type conn struct{ raw net.Conn }

func (c *conn) perform(*script) {}

func (s *Simulator) accept() {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return
		}
		raw.Close()
	}
}
