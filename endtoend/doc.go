// Package endtoend has the tests that run the gateway as its users do: as a process that is killed, flooded and
// replaced, as nodes of a fleet, with the client libraries that providers use, and in a browser.
package endtoend
