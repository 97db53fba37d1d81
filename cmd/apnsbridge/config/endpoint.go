package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Endpoint is where an app's notifications go in place of Apple's APNs: one address for
// both environments, or one for each.
type Endpoint struct {
	Production string `yaml:"production" is:"url"`
	Sandbox    string `yaml:"sandbox" is:"url"`
}

// UnmarshalText reads an address for both environments.
func (e *Endpoint) UnmarshalText(text []byte) error {
	e.Production, e.Sandbox = string(text), string(text)
	return nil
}

// Apple's endpoints, by environment.
var appleHosts = map[string]string{
	"production": "api.push.apple.com",
	"sandbox":    "api.sandbox.push.apple.com",
}

// olderSandbox is the sandbox's name in Apple's documents until 2019, which still
// works.
const olderSandbox = "api.development.push.apple.com"

// validate refuses more than a host and port, and a host of Apple's that is for another
// environment. If only one of the two addresses is given, the other becomes Apple's.
func (e *Endpoint) validate(s *source, path, environment string) {
	_, each := s.places[path+".production"]
	_, sandbox := s.places[path+".sandbox"]
	if !each && !sandbox {
		checkEndpoint(s, path, e.Production, environment)
		return
	}
	for _, of := range []struct{ environment, address string }{{"production", e.Production}, {"sandbox", e.Sandbox}} {
		at := path + "." + of.environment
		if _, given := s.places[at]; !given {
			continue
		}
		if environment != of.environment && environment != "by-listener" &&
			slices.Contains(appEnvironments, environment) {
			s.reject(at, "the app's environment is %s, so that nothing goes there: correct one of them, or remove %s",
				environment, leaf(at))
			continue
		}
		require(s, at, of.address, "give an address like https://HOST:PORT, or remove it for Apple's")
		checkEndpoint(s, at, of.address, of.environment)
	}
	if e.Sandbox == "" {
		e.Sandbox = "https://" + appleHosts["sandbox"]
	}
}

func checkEndpoint(s *source, path, address, environment string) {
	if address == "" {
		return
	}
	if u, err := url.Parse(address); err == nil && u.Host != "" && u.User != nil {
		s.reject(path, "an endpoint takes no user and no password: remove them")
		return
	}
	u := checkURL(s, path, address, "https")
	if u == nil {
		return
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == olderSandbox {
		host = appleHosts["sandbox"]
	}
	for of, apple := range appleHosts {
		if host == apple && environment != of {
			s.reject(path, "%s is APNs' %s, and the environment is %s: %s", strings.ToLower(u.Hostname()), of, environment,
				instead(environment, u.Port()))
		}
	}
	if oldHost.MatchString(host) {
		s.reject(path, "%s is what providers connect to, and Apple has switched it off: remove endpoint", host)
	}
}

// oldHost matches the host names of the binary interface, which may lead back to this gateway.
var oldHost = regexp.MustCompile(`^(gateway|feedback)(\.sandbox)?\.push\.apple\.com$`)

// instead returns what to write in place of a host of Apple's that is for another environment.
func instead(environment, port string) string {
	if port != "" {
		port = ":" + port
	}
	if environment == "by-listener" {
		return fmt.Sprintf("write both, as endpoint: {production: https://%s%s, sandbox: https://%s%[2]s}, or remove "+
			"endpoint", appleHosts["production"], port, appleHosts["sandbox"])
	}
	return "correct one of them, or remove endpoint"
}
