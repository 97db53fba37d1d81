package server

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/smallfile"
	"apnsbridge/fleet"
	"apnsbridge/fleet/link"
	"apnsbridge/store"
	"apnsbridge/store/pgstore"
)

// fleetSettings is what a node of a fleet needs.
type fleetSettings struct {
	node        string
	certificate tls.Certificate
	ca          *x509.CertPool
	authorities []*x509.Certificate // those in ca
	postgres    pgstore.Config
	digest      string // of what should be the same on all nodes
}

// readFleet reads what the configuration names for the fleet; nil if there is none.
func (a *Assembly) readFleet() *fleetSettings {
	c := a.config
	if !c.Fleet.Configured() {
		return nil
	}
	f := &fleetSettings{node: c.Fleet.Node}
	var err error
	if f.node == "" {
		host, failed := os.Hostname()
		f.node, _, _ = strings.Cut(host, ".")
		if why := config.NameNode(f.node); failed != nil || why != "" {
			a.reject("fleet.node: the host's name, %.40q, cannot name a node: set fleet.node", host)
		}
	}
	read, err := certificateFiles{"fleet", c.Path(c.Fleet.Certificate), c.Path(c.Fleet.Key)}.read()
	if err != nil {
		a.problems = append(a.problems, err)
	}
	f.certificate = read.Certificate
	f.ca = x509.NewCertPool()
	if f.authorities, err = smallfile.Certificates(c.Path(c.Fleet.CA)); err != nil {
		a.reject("fleet.ca: %w", err)
	}
	for _, ca := range f.authorities {
		f.ca.AddCert(ca)
	}
	if err == nil && read.Leaf != nil {
		if _, err := read.Leaf.Verify(x509.VerifyOptions{Roots: f.ca, CurrentTime: a.now(),
			Intermediates: intermediates(read.Certificate),
			KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			a.reject("fleet.certificate: it is not of fleet.ca, so that no other node would talk to this one: %w", err)
		}
	}
	p := c.Store.Postgres
	f.postgres = pgstore.Config{URL: p.URL, Schema: p.Schema, Node: f.node, FeedbackEntries: int(c.Limits.FeedbackEntries),
		FeedbackAge: time.Duration(c.Limits.FeedbackAge), SpoolBytes: int64(c.Spool.MaxBytes),
		SpoolReserve: int64(c.Limits.SpoolReserve)}
	if p.PasswordFile != "" {
		text, err := smallfile.Read(c.Path(p.PasswordFile))
		if err != nil {
			a.reject("store.postgres.password_file: %w", err)
		}
		f.postgres.Password = strings.TrimRight(string(text), "\r\n")
	}
	f.digest = a.digest()
	return f
}

func intermediates(c tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, der := range c.Certificate[min(1, len(c.Certificate)):] {
		if certificate, err := x509.ParseCertificate(der); err == nil {
			pool.AddCert(certificate)
		}
	}
	return pool
}

// digest is the same on nodes that have the same apps, clients and credentials.
func (a *Assembly) digest() string {
	sum := sha256.New()
	enc := json.NewEncoder(sum)
	for _, name := range slices.Sorted(maps.Keys(a.config.Apps)) {
		app := a.config.Apps[name]
		app.Credential = config.Credentials{} // files may have other paths there, and passwords must not go in
		_ = enc.Encode(app)
	}
	_ = enc.Encode([]config.Duration{a.config.Limits.FleetLease, a.config.Limits.FleetClaim})
	for _, app := range a.apps {
		fmt.Fprintf(sum, "%s\x00", app.Name)
		for _, c := range app.Credentials {
			if c.Credential != nil {
				d := c.Digest()
				sum.Write(d[:])
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// rules returns the fleet's times.
func (a *Assembly) rules() fleet.Rules {
	l := a.config.Limits
	return fleet.NewRules(time.Duration(l.FleetLease), time.Duration(l.FleetClaim))
}

func (a *Assembly) link() link.Config {
	l := a.config.Limits
	return link.Config{Node: a.fleet.node, Certificate: a.fleet.certificate, CA: a.fleet.ca,
		Bytes:    int64(l.FleetLinkBytes),
		Sessions: int(l.Connections)}
}

// self describes this node to the others.
func (a *Assembly) self(address string) store.FleetNode {
	return store.FleetNode{Name: a.fleet.node, Address: address, Digest: a.fleet.digest}
}
