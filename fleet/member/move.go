package member

import (
	"context"
	"errors"
	"time"

	"apnsbridge/fleet"
)

// Move gives an app that lives here to another node. Once it has begun it goes on even if ctx ends.
func (m *Member) Move(ctx context.Context, name, to string) error {
	m.mu.Lock()
	err := m.movable(name, to)
	if err == nil && to != m.Link.Node {
		m.of(name).moving = true
		m.do(name, func() { m.Apps.Hush(name) })
	}
	m.mu.Unlock()
	if err != nil || to == m.Link.Node {
		return err
	}
	moved := make(chan error, 1)
	m.wg.Go(func() {
		select {
		case <-time.After(m.hushed()):
		case <-m.ctx.Done():
		}
		moved <- m.moveHushed(name, to)
	})
	select {
	case err = <-moved:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return m.await(ctx, func() bool { return m.machine.Place(name) != fleet.Giving })
}

// moveHushed gives an app to another node, if the app is still here and the node still lives.
func (m *Member) moveHushed(name, to string) (err error) {
	kept := m.Apps.Givable(name)
	m.tell(func(fleet.Instant) {
		m.of(name).moving = false
		if err = m.movable(name, to); err == nil {
			err = kept
		}
		if err == nil {
			m.machine.Give(name, to)
		} else if m.machine.Place(name) == fleet.Here && !m.leaving {
			m.do(name, func() { m.Apps.GoOn(name) })
		}
	})
	return err
}

// movable returns why an app cannot be given to a node, nil if it can. m.mu is held.
func (m *Member) movable(name, to string) error {
	place, owner := m.machine.Place(name), ""
	if o, ok := m.machine.Lease().Owner(name); ok {
		owner = o.Name
	}
	_, alive := m.node(to)
	switch {
	case !m.Serves(name):
		return errors.New("no app of that name is configured")
	case !alive:
		return errors.New("no node of that name has a lease: see apnsbridge fleet status")
	case place == fleet.Giving || m.of(name).moving:
		return errors.New("the app is being given to a node")
	case place == fleet.Loose:
		return errors.New("it is not known which node has the app")
	case place != fleet.Here && owner != "" && owner != m.Link.Node:
		return errors.New("the app lives on " + owner + ": ask that node")
	case place != fleet.Here:
		return errors.New("no node has the app: the node that its next provider connects to will take it")
	}
	return nil
}
