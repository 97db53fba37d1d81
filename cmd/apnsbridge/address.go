package main

import (
	"fmt"
	"net"
	"strconv"

	"apnsbridge/cmd/apnsbridge/config"
)

// address is HOST:PORT, as a flag has it.
type address string

// Validate is for the parser of flags.
func (a address) Validate() error {
	_, port, err := net.SplitHostPort(string(a))
	if err != nil {
		return fmt.Errorf("%q is no address: write HOST:PORT, as in 127.0.0.1:2195 or [::1]:2195", config.Clip(string(a)))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port that can be: choose one from 1 to 65535", config.Clip(string(a)))
	}
	return nil
}
