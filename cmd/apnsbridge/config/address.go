package config

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

func checkAddress(s *source, path, address string) {
	_, port, err := net.SplitHostPort(address)
	switch number, numeric := strconv.Atoi(port); {
	case err != nil || port == "":
		s.reject(path, "%q is no address: write HOST:PORT or :PORT", Clip(address))
	case numeric == nil && (number < 0 || number > 65535):
		s.reject(path, "%q has no port that can be: choose one from 1 to 65535", Clip(address))
	case numeric != nil:
		if _, err := net.LookupPort("tcp", port); err != nil {
			s.reject(path, "%q has no port that is known: write its number", Clip(address))
		}
	}
}

// checkURL accepts a scheme, a host and a port. It returns nil if there was a problem.
func checkURL(s *source, path, text string, schemes ...string) *url.URL {
	u, err := url.Parse(text)
	scheme, rest, _ := strings.Cut(text, "://")
	switch {
	case strings.TrimSpace(text) != text:
		s.reject(path, "%q has a blank before it or behind it: remove it", Clip(text))
		return nil
	case !slices.Contains(schemes, strings.ToLower(scheme)) || rest == "":
		s.reject(path, "%q is no address: write one that begins with %s://", Clip(text), strings.Join(schemes, ":// or "))
		return nil
	case strings.Contains(rest, "@") && (err != nil || u.User == nil || u.Host == ""):
		s.reject(path, "%q has a user or a password that ends too early: write its / as %%2F, # as %%23, ? as %%3F, "+
			"%% as %%25 and blanks as %%20", Clip(text))
		return nil
	case err != nil || u.Host == "":
		s.reject(path, "%q must be like %s://HOST:PORT: correct host and port, and put an IPv6 address in brackets",
			Clip(text), strings.ToLower(scheme))
		return nil
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		s.reject(path, "%q must be like %s://HOST:PORT: take away what stands behind the port", Clip(text), u.Scheme)
		return nil
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		s.reject(path, "%q has no port that can be: choose one from 1 to 65535", Clip(text))
		return nil
	}
	return u
}
