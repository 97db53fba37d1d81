package main

import (
	"fmt"

	"apnsbridge/gateway/devpki"
)

type certsCommand struct {
	Dir   string `required:"" placeholder:"DIR" help:"Where the files go. It is made if need be; files in it are never overwritten."`
	Topic string `default:"com.example.demo" help:"The topic that the client certificate speaks for."`
}

// Help is the command's example.
func (certsCommand) Help() string {
	return `Makes a certification authority, a server certificate that carries Apple's four
host names, a client certificate as Apple would issue it to a provider, and a
key for provider tokens. They are for trying out, not for production.

Example:

  apnsbridge certs --dir certs --topic com.example.mail`
}

// Run writes the files.
func (c certsCommand) Run(std streams) error {
	pki, err := devpki.Create(c.Topic)
	if err != nil {
		return err
	}
	if err := pki.Write(c.Dir); err != nil {
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
