package main

import (
	"fmt"
	"net"
	"regexp"
	"strings"

	"apnsbridge/cmd/apnsbridge/config"
)

// hostName matches the names that a certificate can have, as providers compare them.
var hostName = regexp.MustCompile(`^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*` +
	`[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// checkHosts refuses what no provider finds in a certificate, though it may stand there.
func checkHosts(hosts []string) error {
	const longest = 253
	for _, host := range hosts {
		switch {
		case net.ParseIP(host) != nil:
		case strings.ContainsFunc(host, func(r rune) bool { return r > '~' }):
			return usageError{fmt.Errorf("--host %q has letters that no certificate has: write it as xn--…, which the "+
				"domain's administration shows", config.Clip(host))}
		case len(host) > longest || !hostName.MatchString(host):
			return usageError{fmt.Errorf("--host %q is neither the name of a host nor an address: write one like "+
				"push.example.com or 10.1.2.3, without https:// and without a port", config.Clip(host))}
		}
	}
	return nil
}
