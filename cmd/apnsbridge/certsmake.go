package main

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"apnsbridge/cmd/apnsbridge/authority"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/quoting"
)

// pkiFlags say where the authority is.
type pkiFlags struct {
	Dir string `default:"pki" placeholder:"DIR" help:"The authority's directory."`
}

type certsInitCommand struct {
	pkiFlags `embed:""`
	Name     string   `default:"apnsbridge CA" help:"The authority's name, as providers will list it."`
	Only     []string `placeholder:"HOST" help:"Good for these hosts and those below them only, such as push.apple.com. Java before 7 and OpenSSL before 1.0 refuse such an authority."`
}

// Help is the command's example.
func (certsInitCommand) Help() string {
	return `Makes ca.pem and ca-key.pem, which last for 20 years: providers get ca.pem once. Whoever
has ca-key.pem can be any host for them, so keep it off the gateway, or at least
for its owner alone, and bring it back to renew.

Example:

  apnsbridge certs init --dir pki --only push.apple.com`
}

// Run makes the authority.
func (c certsInitCommand) Run(std streams) error {
	a, err := authority.Create(c.Dir, c.Name, c.Only, time.Now())
	if err != nil {
		return writeProblem(c.Dir, err, elsewhere)
	}
	fmt.Fprintf(std.out, `In %s:
  %s      give it to the providers; it is good until %s
  %s  whoever has it can be any host for them: keep it off the gateway

`, c.Dir, authority.CertificateFile, a.Certificate.NotAfter.UTC().Format(time.DateOnly), authority.KeyFile)
	printTrust(std.out, filepath.Join(c.Dir, authority.CertificateFile))
	fmt.Fprintf(std.out, "\nNext: apnsbridge certs server --dir %s --host push.example.com\n", quoting.ShellPath(c.Dir))
	return nil
}

// printTrust writes how providers come to trust an authority.
func printTrust(out io.Writer, ca string) {
	fmt.Fprintf(out, `The provider has to trust %[1]s, as it suits:
  Debian, Ubuntu   cp %[1]s /usr/local/share/ca-certificates/apnsbridge.crt && update-ca-certificates
  RHEL, Fedora     cp %[1]s /etc/pki/ca-trust/source/anchors/apnsbridge.pem && update-ca-trust
  Java             keytool -importcert -noprompt -alias apnsbridge -file %[1]s -keystore "$JAVA_HOME/jre/lib/security/cacerts" -storepass changeit
  Java 9 and later keytool -importcert -noprompt -alias apnsbridge -file %[1]s -cacerts -storepass changeit
  NSS              certutil -A -n apnsbridge -t C,, -i %[1]s -d "sql:$HOME/.pki/nssdb"
  macOS            security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain %[1]s
  PHP              stream_context_set_option($context, 'ssl', 'cafile', %[2]s);
  Node             NODE_EXTRA_CA_CERTS=%[1]s, or the library's option ca
`, quoting.ShellPath(ca), quoting.PHP(ca))
}

type certsServerCommand struct {
	pkiFlags `embed:""`
	Name     string   `default:"server" help:"Of the files: NAME.pem and NAME-key.pem, NAME-ecdsa.pem and NAME-ecdsa-key.pem."`
	Host     []string `placeholder:"HOST" help:"Names and addresses that the gateway has besides Apple's four."`
	NoApple  bool     `name:"no-apple" help:"Leave Apple's names out, for providers that can be told another host."`
}

// Help is the command's example.
func (certsServerCommand) Help() string {
	return `Makes a certificate for the gateway with an RSA key, which all providers know, and one
with an ECDSA key. Both carry Apple's four host names, which redirected providers
verify.

Example:

  apnsbridge certs server --dir pki --host push.example.com --host 10.1.2.3`
}

// Run makes the certificates.
func (c certsServerCommand) Run(std streams) error {
	if err := checkHosts(c.Host); err != nil {
		return err
	}
	a, err := authority.Open(c.Dir)
	if err != nil {
		return err
	}
	hosts := append([]string{}, authority.AppleNames...)
	if c.NoApple {
		hosts = nil
	}
	if hosts = append(hosts, c.Host...); len(hosts) == 0 {
		return usageError{fmt.Errorf("--no-apple leaves no name: give one with --host")}
	}
	path := filepath.Join(c.Dir, c.Name)
	for _, pair := range []struct {
		name string
		kind authority.KeyKind
	}{{c.Name, authority.RSA}, {c.Name + "-ecdsa", authority.ECDSA}} {
		path := filepath.Join(c.Dir, pair.name)
		cert, err := a.IssueServer(pair.name, hosts, pair.kind, time.Now())
		if err != nil {
			return writeProblem(path+".pem", err, elsewhere)
		}
		fmt.Fprintf(std.out, "%s.pem and %[1]s-key.pem, good until %s\n", path,
			cert.NotAfter.UTC().Format(time.DateOnly))
	}
	fmt.Fprintf(std.out, `
In apnsbridge.yaml:
  tls: {certificates: [{certificate: %s, key: %s}, {certificate: %s, key: %s}]}
Before they expire: apnsbridge certs renew --dir %s
`, quoting.YAML(path+".pem"), quoting.YAML(path+"-key.pem"), quoting.YAML(path+"-ecdsa.pem"), quoting.YAML(path+"-ecdsa-key.pem"),
		quoting.ShellPath(c.Dir))
	return nil
}

type certsClientCommand struct {
	pkiFlags `embed:""`
	Topic    string `required:"" placeholder:"TOPIC" help:"The topic that it speaks for."`
	Name     string `help:"Of the files: NAME.pem and NAME-key.pem. Default: the topic."`
	ECDSA    bool   `name:"ecdsa" help:"With an ECDSA key. Default: RSA, which all libraries know."`
}

// Help is the command's example.
func (certsClientCommand) Help() string {
	return `Makes a certificate for a provider whose push certificate is lost. Where it is not,
pin that: it may be long expired.

Example:

  apnsbridge certs client --dir pki --topic com.example.mail`
}

// Run makes the certificate.
func (c certsClientCommand) Run(std streams) error {
	if why := config.NoTopic(c.Topic); why != "" {
		return usageError{fmt.Errorf("--topic: %s", why)}
	}
	a, err := authority.Open(c.Dir)
	if err != nil {
		return err
	}
	name, kind := c.Name, authority.RSA
	if name == "" {
		name = c.Topic
	}
	if filepath.Base(name) != name {
		return usageError{fmt.Errorf("--name %q is no name of a file: give one without /", config.Clip(name))}
	}
	if c.ECDSA {
		kind = authority.ECDSA
	}
	cert, err := a.IssueClient(name, c.Topic, kind, time.Now())
	if err != nil {
		return writeProblem(filepath.Join(c.Dir, name+".pem"), err, elsewhere)
	}
	fmt.Fprintf(std.out, `%[1]s.pem and %[1]s-key.pem, good until %[2]s: give both to the provider

In apnsbridge.yaml, at the app:
  clients: [{ca: %[3]s, uid: %[4]s}]
`, filepath.Join(c.Dir, name), cert.NotAfter.UTC().Format(time.DateOnly),
		quoting.YAML(filepath.Join(c.Dir, authority.CertificateFile)), quoting.YAML(c.Topic))
	return nil
}

type certsRenewCommand struct {
	pkiFlags `embed:""`
	Days     int `default:"60" placeholder:"N" help:"Those that expire within so many days."`
}

// Help is the command's example.
func (certsRenewCommand) Help() string {
	return `Signs the certificates in the directory anew that expire soon. Their keys and names
stay as they are, so that pins of keys hold; a gateway that runs takes its own
within ten seconds. Once a week is often enough.

Example:

  apnsbridge certs renew --dir pki --days 60`
}

// Run renews.
func (c certsRenewCommand) Run(std streams) error {
	a, err := authority.Open(c.Dir)
	if err != nil {
		return err
	}
	all, err := a.Renew(time.Duration(c.Days)*24*time.Hour, time.Now())
	for _, r := range all {
		done := "lasts until"
		if r.Done {
			done = "is renewed until"
		}
		fmt.Fprintf(std.out, "%s %s %s\n", r.File, done, r.Expires.UTC().Format(time.DateOnly))
	}
	if len(all) == 0 && err == nil {
		fmt.Fprintf(std.out, "no certificate in %s is the authority's\n", c.Dir)
	}
	return err
}
