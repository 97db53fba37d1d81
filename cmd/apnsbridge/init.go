package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/authority"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/quoting"
	"apnsbridge/cmd/apnsbridge/server"
	"apnsbridge/cmd/apnsbridge/smallfile"
	"apnsbridge/gateway/identity"
)

type initCommand struct {
	Config      string   `default:"apnsbridge.yaml" placeholder:"FILE" help:"The configuration to write. One that is there is never replaced."`
	App         string   `default:"main" placeholder:"NAME" help:"The app's name, in the log and on the page."`
	Topic       string   `help:"The app's topic: its bundle identifier. Default: the one that --certificate is for."`
	Environment string   `enum:"production,sandbox,by-listener" default:"production" help:"production, sandbox or by-listener."`
	Key         string   `placeholder:"FILE" help:"The .p8 of Apple's developer site."`
	KeyID       string   `name:"key-id" help:"The key's identifier. Default: as the .p8 is called."`
	TeamID      string   `name:"team-id" help:"The team's identifier, on Apple's membership page."`
	Certificate string   `placeholder:"FILE" help:"A .p12 or PEM with push certificate and key, instead of a .p8."`
	PasswordEnv string   `name:"password-env" placeholder:"NAME" help:"The environment variable with the password of --certificate."`
	Pin         string   `placeholder:"FILE" help:"The certificate that the provider shows, PEM, which may be expired. Default: one is made for it."`
	CIDR        string   `name:"cidr" placeholder:"NETWORK" help:"Where the provider connects from, if it has no certificate."`
	Host        []string `placeholder:"HOST" help:"Names and addresses of the gateway besides Apple's four."`
	PKI         string   `name:"pki" default:"pki" placeholder:"DIR" help:"The authority that signs the gateway's certificate. It is made if need be."`
	Endpoint    string   `placeholder:"URL" help:"Instead of Apple's: a simulator."`
	EndpointCA  string   `name:"endpoint-ca" placeholder:"FILE" help:"Who has signed the endpoint's certificate, PEM."`
}

// Help is the command's example.
func (initCommand) Help() string {
	return `Writes a configuration with comments, which check accepts, and certificates for it, and
prints what there is to do on the provider's machine. It asks for what the flags
do not say.

Example:

  apnsbridge init --topic com.example.mail --key AuthKey_ABC123DEFG.p8 --team-id DEF123GHIJ --pin push.pem`
}

// Run asks, writes and explains.
func (c initCommand) Run(std streams) error {
	if _, err := os.Lstat(c.Config); err == nil {
		return fmt.Errorf("%s is there already: give another name with --config, or add the app to it by hand",
			c.Config)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return writeProblem(c.Config, err, elsewhere)
	}
	if err := c.complete(&asker{in: bufio.NewReader(std.in), out: std.out}); err != nil {
		return err
	}
	text, made, err := c.write(std.out)
	if err != nil {
		return err
	}
	settings, err := config.Load(c.Config)
	if err == nil {
		_, err = server.Assemble(settings)
	}
	if err != nil {
		return fmt.Errorf("%s is written, and has to be corrected by hand:\n%w", c.Config, err)
	}
	fmt.Fprintf(std.out, "%s is written (%d lines).\n\n", c.Config, strings.Count(text, "\n"))
	c.explain(std.out, made)
	return nil
}

// asker asks for what is missing.
type asker struct {
	in  *bufio.Reader
	out io.Writer
}

// ask returns an answer, which is not empty.
func (a *asker) ask(question, flag string) (string, error) {
	fmt.Fprintf(a.out, "%s: ", question)
	line, err := a.in.ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		if err != nil {
			fmt.Fprintln(a.out)
		}
		return "", usageError{fmt.Errorf("%s is needed: give it as an answer, or with %s", lowerFirst(question),
			flag)}
	}
	return line, nil
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }

var keyIDOfFile = regexp.MustCompile(`^AuthKey_([A-Z0-9]{10})\.p8$`)

// complete finds out what the flags do not say: from the files, and by asking.
func (c *initCommand) complete(a *asker) (err error) {
	if c.Key == "" && c.Certificate == "" {
		file, err := a.ask("The .p8 of Apple's developer site, or a .p12 with the push certificate",
			"--key or --certificate")
		if err != nil {
			return err
		}
		if strings.HasSuffix(file, ".p8") {
			c.Key = file
		} else {
			c.Certificate = file
		}
	}
	if c.Key != "" && c.Certificate != "" {
		return usageError{errors.New("--key and --certificate exclude each other: an app has one of them")}
	}
	if c.Key != "" {
		if m := keyIDOfFile.FindStringSubmatch(filepath.Base(c.Key)); c.KeyID == "" && m != nil {
			c.KeyID = m[1]
		}
		if c.KeyID == "" {
			if c.KeyID, err = a.ask("The key's identifier, ten characters", "--key-id"); err != nil {
				return err
			}
		}
		if c.TeamID == "" {
			if c.TeamID, err = a.ask("The team's identifier, ten characters", "--team-id"); err != nil {
				return err
			}
		}
	} else if err := c.readCertificate(); err != nil {
		return err
	}
	if c.Topic == "" {
		c.Topic, err = a.ask("The app's topic, which is its bundle identifier", "--topic")
	}
	return err
}

// readCertificate takes the topic from the push certificate.
func (c *initCommand) readCertificate() error {
	text, err := smallfile.Read(c.Certificate)
	if err != nil {
		return fmt.Errorf("--certificate: %w", err)
	}
	password, set := os.LookupEnv(c.PasswordEnv)
	if c.PasswordEnv != "" && !set {
		return fmt.Errorf("--password-env: the environment variable %s is not set: set it, as the gateway needs it too",
			config.Clip(c.PasswordEnv))
	}
	credential, err := upstream.NewCertificateCredential(text, password, time.Now(), func(leaf *x509.Certificate) bool {
		return c.Topic == "" || server.ServesTopic(leaf, c.Topic) == nil
	})
	if upstream.NeedsPassword(err) {
		return fmt.Errorf("--certificate %s: %w; it goes into a variable that --password-env names", c.Certificate, err)
	}
	if err != nil {
		return fmt.Errorf("--certificate %s: %w", c.Certificate, err)
	}
	if topic, _ := identity.Topics(credential.Leaf()); c.Topic == "" {
		c.Topic = topic
	}
	return nil
}

// madeFiles are the certificates that init has made or found.
type madeFiles struct{ ca, client string }

// write makes the configuration and the certificates that it names, once it is clear
// that it is going to be accepted: what is written has to be moved away by hand.
func (c *initCommand) write(out io.Writer) (text string, made madeFiles, err error) {
	made.ca = filepath.Join(c.PKI, authority.CertificateFile)
	client, err := c.client(&made)
	if err != nil {
		return "", made, err
	}
	text = c.text(client)
	if err := c.foresee(text); err != nil {
		return "", made, err
	}
	if err := c.makeCertificates(out, made); err != nil {
		return "", made, err
	}
	return text, made, writeProblem(c.Config, writeConfiguration(c.Config, text), elsewhere)
}

// client is who may speak for the app, as the configuration has it.
func (c *initCommand) client(made *madeFiles) (string, error) {
	switch {
	case c.Pin != "":
		certs, err := smallfile.Certificates(c.Pin)
		if err != nil {
			return "", fmt.Errorf("--pin: %w", err)
		}
		return fmt.Sprintf("{sha256: %x} # %s", sha256.Sum256(certs[0].Raw),
			strings.ReplaceAll(identity.Subject(certs[0]), "\n", " ")), nil
	case c.CIDR != "":
		return fmt.Sprintf("{cidr: %s}                     # any provider from there, with or without a certificate",
			quoting.YAML(c.CIDR)), nil
	}
	if filepath.Base(c.Topic) != c.Topic {
		return "", fmt.Errorf("--topic %q has a slash: a topic is a bundle identifier, like com.example.mail",
			config.Clip(c.Topic))
	}
	made.client = filepath.Join(c.PKI, c.Topic+".pem")
	return fmt.Sprintf("{ca: %s, uid: %s}   # the provider that shows a certificate of ours",
		quoting.YAML(c.fromConfig(made.ca)), quoting.YAML(c.Topic)), nil
}

// foresee says what check would say of the text, and of the files that are there
// already.
func (c *initCommand) foresee(text string) error {
	if err := checkHosts(c.Host); err != nil {
		return err
	}
	settings, err := config.Parse(c.Config, []byte(text))
	if err != nil {
		return fmt.Errorf("nothing is written, for check would refuse it:\n%w", err)
	}
	if err := server.CheckCredentials(settings); err != nil {
		return fmt.Errorf("nothing is written, for check would refuse it:\n%w", err)
	}
	for _, app := range settings.Apps {
		if app.EndpointCA == "" {
			continue
		}
		if _, err := smallfile.Pool(settings.Path(app.EndpointCA)); err != nil {
			return fmt.Errorf("--endpoint-ca: %w", err)
		}
	}
	return nil
}

// makeCertificates makes those that are not there yet.
func (c *initCommand) makeCertificates(out io.Writer, made madeFiles) error {
	now := time.Now()
	ca, err := authority.Open(c.PKI)
	if _, missing := os.Stat(made.ca); missing != nil {
		if ca, err = authority.Create(c.PKI, "apnsbridge CA", nil, now); err != nil {
			return writeProblem(c.PKI, err, elsewhere)
		}
		fmt.Fprintf(out, "%s is a new authority. Whoever has %s can be any host for the providers: keep it away "+
			"from the gateway.\n",
			c.PKI, filepath.Join(c.PKI, authority.KeyFile))
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.PKI, "server.pem")); errors.Is(err, fs.ErrNotExist) {
		if _, err := ca.IssueServer("server", append(append([]string{}, authority.AppleNames...), c.Host...),
			authority.RSA, now); err != nil {
			return writeProblem(c.PKI, err, elsewhere)
		}
	}
	if made.client == "" {
		return nil
	}
	if _, err := os.Stat(made.client); errors.Is(err, fs.ErrNotExist) {
		if _, err := ca.IssueClient(c.Topic, c.Topic, authority.RSA, now); err != nil {
			return writeProblem(c.PKI, err, elsewhere)
		}
	}
	return nil
}

// fromConfig is how the configuration names a file.
func (c *initCommand) fromConfig(file string) string {
	if relative, err := filepath.Rel(filepath.Dir(c.Config), file); err == nil && !filepath.IsAbs(file) {
		return relative
	}
	return file
}

func writeConfiguration(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
