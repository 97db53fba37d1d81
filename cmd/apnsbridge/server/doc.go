// Package server is one running gateway: it reads what a configuration names, opens ports, bridge and store, admits
// clients, reloads, answers operators, and stops in good order. Check looks at the same without serving.
package server
