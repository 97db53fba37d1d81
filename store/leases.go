package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotOurs says that a write was refused, because another node has the app
	// by now. Nothing of the write is kept.
	ErrNotOurs = errors.New("store: another node has the app")

	// ErrLeaseOver says that this process has no lease: it has run out, or another
	// process has joined under the node's name since. The node is to Join again, and
	// finds in the view whether others have claimed what it had.
	ErrLeaseOver = errors.New("store: the node's lease is over")
)

// TakenError says that a claim or a join came too early.
type TakenError struct {
	What string        // "app mail" or "node gw1"
	By   string        // the node or the address that has it
	Left time.Duration // of its lease
}

// Error says by whom, and for how long.
func (e *TakenError) Error() string {
	return fmt.Sprintf("store: %s is taken by %s for another %v", e.What, e.By, e.Left.Round(time.Millisecond))
}

// MaxNodeName is the bound of a node's name in bytes.
const MaxNodeName = 32

// FleetNode is a node as the others see it.
type FleetNode struct {
	Name    string
	Address string // of its link
	Digest  string // of what it is configured with
}

// FleetApp says who has an app.
type FleetApp struct {
	Name  string
	Node  string // empty: it was given up
	Epoch uint64 // of its latest claim
}

// FleetView is what a node hears with each renewal: the nodes whose leases run, itself
// among them, and every app that was ever claimed, both in the order of their names.
type FleetView struct {
	Nodes []FleetNode
	Apps  []FleetApp
}

// Leases is one node's part in the question of who has which app, answered where all
// nodes of a fleet can ask. A node has one lease, which it renews; once it
// has run out, others can claim the apps that the node has. Whether a lease runs is a matter of the
// engine's clock alone.
//
// Each claim of an app gives it an epoch, which only grows. What is written for an
// app is written in the name of a node and an epoch, and refused with ErrNotOurs if
// those are not the app's any more: no such write comes behind the claim of another.
//
// All methods are safe for concurrent use. After an error of another kind than those
// above it is not known whether the call had its effect; each can be repeated.
type Leases interface {
	// Join begins a lease. A *TakenError says that a lease under the node's name
	// still runs: that of a process which was killed, or of another machine that is
	// configured with the same name.
	Join(ctx context.Context, node FleetNode, lease time.Duration) (FleetView, error)

	// Renew has the lease run for its whole length from now on, if it has not run
	// out, and ErrLeaseOver if it has. The view is of a moment in which the new lease
	// stood already: an app that it names as this node's is not claimed by another
	// before it runs out.
	Renew(ctx context.Context, node FleetNode, lease time.Duration) (FleetView, error)

	// Claim makes an app this node's, with an epoch higher than all before it. It
	// fails with a *TakenError while the lease of the node that has it runs, and with
	// ErrLeaseOver if this node's does not. What this node has already is claimed anew.
	Claim(ctx context.Context, app string) (epoch uint64, err error)

	// Give lets go of an app that this node has with that epoch, for the node named
	// to, which alone can claim it then while its lease runs, or for whoever comes
	// first if that is empty. If it is not this node's any more, it fails with
	// ErrNotOurs.
	Give(ctx context.Context, app string, epoch uint64, to string) error

	// Leave ends the lease: whoever comes first can claim what the node still has.
	Leave(ctx context.Context) error
}
