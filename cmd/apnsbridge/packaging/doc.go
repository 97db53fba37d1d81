// Package packaging holds what a release is made of and how: build, the systemd units, and
// the Debian package and rpm as nfpm makes them. There is nothing in it but tests.
package packaging
