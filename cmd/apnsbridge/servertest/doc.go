// Package servertest is what a gateway under test stands amid: a folder with real certificates and a configuration, an
// APNs simulator behind it, providers and an operator before it, and the program itself where a process is wanted.
package servertest
