// Package server is a running gateway: it reads what a configuration names, opens ports, bridge and store, admits
// clients, reloads, answers operators, and stops in good order. Check does the same checks without serving.
package server
