// Package endtoend has the tests that take the gateway as its users have it: as a process that is killed, flooded and
// replaced, as nodes of a fleet, with the client libraries that providers use, in a browser.
package endtoend
