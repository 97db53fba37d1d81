// Package unix has the system calls that the gateway makes of golang.org/x/sys/unix,
// under their names. Where there are none, as on Windows, the gateway is built all the
// same, for the commands that need its types, and each of them fails.
package unix
