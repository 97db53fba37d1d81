// Package servertest is the surroundings of a gateway under test: a folder with real certificates and a configuration,
// an APNs simulator, providers and an operator, and the program itself for tests that need a process.
package servertest
