package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/quoting"
	"apnsbridge/cmd/apnsbridge/smallfile"
)

// gatewayFlags say which gateway an operator speaks to: the one that runs with
// the configuration.
type gatewayFlags struct {
	Config    string `default:"apnsbridge.yaml" placeholder:"FILE" help:"The configuration of the gateway that runs, for its admin port."`
	AdminCert string `placeholder:"FILE" help:"The operator's certificate with its key, PEM, where admin.client_ca asks for one."`
}

// adminClient speaks to the admin port of a gateway that runs.
type adminClient struct {
	base  string
	token string
	http  http.Client
}

const adminPatience = time.Minute

func (f gatewayFlags) client() (*adminClient, error) {
	settings, err := config.LoadAdmin(f.Config)
	if err != nil {
		return nil, err
	}
	c := settings.Admin
	if c.Listen == "" {
		return nil, errors.New("admin.listen is empty, so the gateway that runs cannot be asked: set it to " +
			"127.0.0.1:9195, and restart the gateway")
	}
	a := &adminClient{base: "http://" + dialable(c.Listen), token: c.Token, http: http.Client{Timeout: adminPatience}}
	if c.TokenFile != "" {
		text, err := smallfile.Read(settings.Path(c.TokenFile))
		if err != nil {
			return nil, fmt.Errorf("admin.token_file: %w", err)
		}
		a.token = strings.TrimRight(string(text), "\r\n")
	}
	if c.Certificate != "" {
		a.base = "https://" + dialable(c.Listen)
		shown, err := f.tls(settings)
		if err != nil {
			return nil, err
		}
		a.http.Transport = &http.Transport{TLSClientConfig: shown}
	}
	return a, nil
}

// dialable is where a listener's address is reached from this machine.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// tls trusts the certificate that the configuration names, whatever its names
// are: its owner wrote both.
func (f gatewayFlags) tls(settings *config.Config) (*tls.Config, error) {
	own, err := smallfile.Certificates(settings.Path(settings.Admin.Certificate))
	if err != nil {
		return nil, fmt.Errorf("admin.certificate: %w", err)
	}
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // in favour of what follows
		VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, own[0].Raw) {
				return errors.New("the admin port shows another certificate than admin.certificate: is it the " +
					"gateway of this configuration?")
			}
			return nil
		},
	}
	if f.AdminCert != "" {
		pair, err := smallfile.Pair(f.AdminCert, f.AdminCert)
		if err != nil {
			return nil, fmt.Errorf("--admin-cert %s: %w", f.AdminCert, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// ask sends a request, and gives the answer's body. It is an error unless the
// status is 200.
func (a *adminClient) ask(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.base+path, nil)
	if err != nil {
		return nil, err
	}
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	request.Header.Set("X-Apnsbridge", "yes")
	answer, err := a.http.Do(request)
	if err != nil {
		return nil, adminProblem(a.base, err)
	}
	defer answer.Body.Close()
	const most = 16 << 20
	body, err := io.ReadAll(io.LimitReader(answer.Body, most))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the admin port %s: %w", a.base, err)
	case answer.StatusCode == http.StatusUnauthorized:
		return nil, errors.New("the gateway that runs has another admin.token than this configuration: ask with " +
			"the one that it was started with")
	case answer.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("the admin port %s does not know %s: is the gateway that runs an older one, or its "+
			"admin.listen another?", a.base, path)
	case answer.StatusCode != http.StatusOK:
		return body, fmt.Errorf("%s", strings.TrimSpace(clipped(body)))
	}
	return body, nil
}

// notOurs says that what answers at the admin port is no gateway.
func (a *adminClient) notOurs() error {
	return fmt.Errorf("the admin port %s does not answer as a gateway does: is admin.listen right?", a.base)
}

// account is what a gateway says of itself, to be printed.
type account interface{ print(out io.Writer) error }

// show asks for what is at path, and prints it: the JSON as it came, or what it says.
func (f gatewayFlags) show(ctx context.Context, path string, what account, asJSON bool, out io.Writer) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	body, err := client.ask(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	if json.Unmarshal(body, what) != nil {
		return client.notOurs()
	}
	if asJSON {
		_, err = out.Write(body)
		return err
	}
	var text bytes.Buffer
	if err := what.print(&text); err != nil {
		return err
	}
	_, err = io.WriteString(out, quoting.Terminal(text.String()))
	return err
}

func clipped(body []byte) string {
	const most = 4 << 10
	return strings.ToValidUTF8(string(body[:min(len(body), most)]), "")
}

func adminProblem(base string, err error) error {
	var foreign x509.UnknownAuthorityError
	var alert tls.AlertError
	switch {
	case errors.As(err, &foreign), errors.As(err, &alert), strings.Contains(err.Error(), "certificate required"):
		return fmt.Errorf("the admin port %s wants a certificate of admin.client_ca: give it with --admin-cert", base)
	case strings.Contains(err.Error(), "connection refused"):
		return fmt.Errorf("no gateway runs with this configuration: nothing listens on its admin port %s", base)
	}
	return fmt.Errorf("the admin port: %w", upstream.Plain(err))
}
