package server

import (
	"context"
	"errors"
	"fmt"

	"apnsbridge/store/pgstore"
)

// setUp creates the fleet's schema, or brings it up to date.
func (a *Assembly) setUp(ctx context.Context) error {
	if a.fleet == nil {
		return errors.New("fleet: there is none to be set up: name store.postgres and fleet, or leave --setup out")
	}
	ctx, cancel := context.WithTimeout(ctx, fleetPatience)
	defer cancel()
	if err := pgstore.Setup(ctx, a.fleet.postgres); err != nil {
		return fmt.Errorf("store.postgres: %w", err)
	}
	return nil
}

// reachPostgres checks that the fleet's store is as serve needs it.
func (a *Assembly) reachPostgres(ctx context.Context) (state string, warnings []warning, err error) {
	if a.fleet == nil {
		return "", nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fleetPatience)
	defer cancel()
	s, err := pgstore.Open(ctx, a.fleet.postgres)
	if err != nil {
		return "", nil, fmt.Errorf("store.postgres: %w", err)
	}
	for _, text := range s.Warnings() {
		warnings = append(warnings, warning{setting: "store.postgres", text: text})
	}
	return "the schema is there", warnings, s.Close()
}
