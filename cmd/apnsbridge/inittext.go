package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"apnsbridge/cmd/apnsbridge/quoting"
)

// text is the configuration.
func (c *initCommand) text(client string) string {
	credential := fmt.Sprintf("token: {key: %s, key_id: %s, team_id: %s}", quoting.YAML(c.fromConfig(c.Key)),
		quoting.YAML(c.KeyID), quoting.YAML(c.TeamID))
	if c.Certificate != "" {
		password := ""
		if c.PasswordEnv != "" {
			password = ", password: \"${" + c.PasswordEnv + "}\""
		}
		credential = fmt.Sprintf("certificate: {file: %s%s}", quoting.YAML(c.fromConfig(c.Certificate)), password)
	}
	endpoint := ""
	if c.Endpoint != "" {
		endpoint = fmt.Sprintf("    endpoint: %s            # a simulator: remove it, and endpoint_ca, for Apple's\n",
			quoting.YAML(c.Endpoint))
	}
	if c.EndpointCA != "" {
		endpoint += fmt.Sprintf("    endpoint_ca: %s\n", quoting.YAML(c.fromConfig(c.EndpointCA)))
	}
	pki := c.fromConfig(c.PKI)
	return fmt.Sprintf(`# apnsbridge, see docs/configuration.md for all settings. Files are relative to this one; ${NAME} and
# ${NAME:-DEFAULT} are taken from the environment.
# Before a start or reload:  apnsbridge check --config %s

gateway:  {listen: ":2195"}            # where providers push
feedback: {listen: ":2196"}            # where they ask which devices are gone
admin:    {listen: "127.0.0.1:9195"}   # page, /readyz and /metrics, for this machine

tls:
  certificate: %s                      # what providers are shown, with Apple's host names
  key: %s
  # min_version: "1.0"                 # for providers that know no TLS 1.2
  # legacy_ciphers: true               # for those that know old ciphers only

store: {path: data}                    # the feedback list, and what waits for APNs

apps:
  %s:
    topic: %s
    environment: %s                    # production, sandbox, or by-listener
%s    credential:
      %s
    clients:                           # who may speak for this app
      - %s
`, quoting.ShellPath(filepath.Base(c.Config)), quoting.YAML(filepath.Join(pki, "server.pem")), quoting.YAML(filepath.Join(pki, "server-key.pem")),
		quoting.YAML(c.App), quoting.YAML(c.Topic), c.Environment, endpoint, credential, client)
}

// explain says what is to be done next, here and on the provider's machine.
func (c *initCommand) explain(out io.Writer, made madeFiles) {
	fmt.Fprintf(out, `Here:
  apnsbridge check --config %[1]s --connect
  apnsbridge serve --config %[1]s
  apnsbridge try --config %[1]s %[2]s%[3]s

On the provider's machine, in /etc/hosts or its DNS, let these be the gateway's address:
  gateway.push.apple.com feedback.push.apple.com gateway.sandbox.push.apple.com feedback.sandbox.push.apple.com

`, quoting.ShellPath(c.Config), quoting.ShellFlag("--app", c.App), c.tryCertificate(made))
	printTrust(out, made.ca)
	if made.client != "" {
		key := strings.TrimSuffix(made.client, ".pem") + "-key.pem"
		fmt.Fprintf(out, "\nIt shows %s with %s; both in one file, as most libraries want them:\n  cat %[1]s "+
			"%[2]s > push.pem && chmod 600 push.pem\n", quoting.ShellPath(made.client), quoting.ShellPath(key))
	}
	fmt.Fprint(out, `
Where the library takes a host, it may have the gateway's own name instead:
  PHP (ApnsPHP)    $push->setRootCertificationAuthority('ca.pem');
  Python (PyAPNs)  APNs(cert_file='push.pem'), with ca.pem among the system's
  Ruby (houston)   APN.gateway_uri = 'apn://HOST:2195'
  Ruby (grocer)    Grocer.pusher(certificate: 'push.pem', gateway: 'HOST')
  Node (apn 1.x)   new apn.Connection({ cert: 'push.pem', key: 'push.pem', gateway: 'HOST', ca: ['ca.pem'] })
  Java (notnoop)   APNS.newService().withCert(…).withGatewayDestination("HOST", 2195)
  .NET (PushSharp) config.OverrideServer("HOST", 2195);
`)
}

// tryCertificate are the flags with which try shows the provider's certificate.
func (c *initCommand) tryCertificate(made madeFiles) string {
	if made.client == "" {
		return ""
	}
	return fmt.Sprintf(" --cert %s --key %s", quoting.ShellPath(made.client),
		quoting.ShellPath(strings.TrimSuffix(made.client, ".pem")+"-key.pem"))
}
