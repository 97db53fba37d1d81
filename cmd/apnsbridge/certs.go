package main

import (
	"fmt"

	"apnsbridge/gateway/devpki"
)

type certsCommand struct {
	Try    certsTryCommand    `cmd:"" default:"withargs" hidden:"" help:"Make development certificates."`
	Init   certsInitCommand   `cmd:"" help:"Make the authority that providers are to trust: once, for 20 years."`
	Server certsServerCommand `cmd:"" help:"Make the gateway's certificate, with Apple's host names in it."`
	Client certsClientCommand `cmd:"" help:"Make a certificate for a provider that has lost Apple's."`
	Renew  certsRenewCommand  `cmd:"" help:"Make certificates that are about to expire anew, with the keys they have."`
}

// Help is the command's example.
func (certsCommand) Help() string {
	return `With --dir and no further word it makes all that it takes to try the gateway out: a
certification authority, a server certificate that carries Apple's four host
names, a client certificate as Apple would issue it to a provider, and a key for
provider tokens. They are for trying out, not for production.

For production there are init, server, client and renew.

Example:

  apnsbridge certs --dir certs --topic com.example.mail
  apnsbridge certs init --dir pki && apnsbridge certs server --dir pki --host push.example.com`
}

type certsTryCommand struct {
	Dir   string `required:"" placeholder:"DIR" help:"Where the files go. It is made if need be; files in it are never overwritten."`
	Topic string `default:"com.example.demo" help:"The topic that the client certificate speaks for."`
}

// Run writes the files.
func (c certsTryCommand) Run(std streams) error {
	if err := writeDevelopmentPKI(c.Dir, c.Topic); err != nil {
		return err
	}
	fmt.Fprintf(std.out, `In %s:
  ca.pem                  give it to providers, so that they trust the gateway
  server.pem server-key.pem   the gateway's own: tls.certificate and tls.key
  client.pem client-key.pem   a provider's, for topic %s
  AuthKey_DEVELOPER.p8    a key for provider tokens, for the simulator
`, c.Dir, c.Topic)
	return nil
}

// writeDevelopmentPKI makes what it takes to try the gateway out. Keys take time, so it first
// sees whether there is room for them.
func writeDevelopmentPKI(dir, topic string) error {
	if err := devpki.Room(dir); err != nil {
		return writeProblem(dir, err, elsewhere)
	}
	pki, err := devpki.Create(topic)
	if err != nil {
		return err
	}
	return writeProblem(dir, pki.Write(dir), elsewhere)
}
