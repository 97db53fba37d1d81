package main

import (
	"errors"
	"net"
)

// listenerNote is what check says of an address.
type listenerNote struct {
	Setting string `json:"setting"`
	Address string `json:"address"`
	State   string `json:"state"`
}

const (
	stateFree  = "free"
	stateTaken = "taken"
	stateHeld  = "held by the gateway that runs, or not tried because it runs: --listen tries it"
)

// checkListeners holds all addresses at one time, as serve does, and lets them go.
// Beside a gateway that runs it tries none, unless it must.
func (a *assembly) checkListeners(must bool) (notes []listenerNote, err error) {
	c := a.config
	beside := !must && storeInUse(c.Path(c.Store.Path))
	var errs []error
	var held []net.Listener
	try := func(setting, address string) {
		note := listenerNote{setting, address, stateHeld}
		if !beside {
			listener, err := net.Listen("tcp", address)
			if note.State = stateFree; err != nil {
				note.State = stateTaken
				errs = append(errs, listenProblem(setting, err))
			} else {
				held = append(held, listener)
			}
		}
		notes = append(notes, note)
	}
	for _, l := range c.Feedback.Listen {
		try("feedback.listen", l.Address)
	}
	for _, l := range c.Gateway.Listen {
		try("gateway.listen", l.Address)
	}
	if c.Admin.Listen != "" {
		try("admin.listen", c.Admin.Listen)
	}
	for _, l := range held {
		l.Close()
	}
	return notes, errors.Join(errs...)
}
