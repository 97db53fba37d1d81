package authority

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func create(t *testing.T, names ...string) *Authority {
	t.Helper()
	a, err := Create(filepath.Join(t.TempDir(), "pki"), "test CA", names, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *Authority) verify(t *testing.T, cert *x509.Certificate, host string, usage x509.ExtKeyUsage,
	at time.Time) error {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	_, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestServer(t *testing.T) {
	a := create(t)
	hosts := append([]string{"push.example.com", "10.1.2.3"}, AppleNames...)
	for name, kind := range map[string]KeyKind{"server": RSA, "server-ecdsa": ECDSA} {
		cert, err := a.IssueServer(name, hosts, kind, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range hosts {
			if err := a.verify(t, cert, host, x509.ExtKeyUsageServerAuth, now.AddDate(2, 0, 0)); err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
		_, isRSA := cert.PublicKey.(*rsa.PublicKey)
		_, isECDSA := cert.PublicKey.(*ecdsa.PublicKey)
		if isRSA != (kind == RSA) || isECDSA != (kind == ECDSA) {
			t.Errorf("%s has the key %T", name, cert.PublicKey)
		}
		if _, err := tls.LoadX509KeyPair(filepath.Join(a.Dir, name+".pem"),
			filepath.Join(a.Dir, name+"-key.pem")); err != nil {
			t.Error(err)
		}
	}
	if a.Certificate.NotAfter.Before(now.AddDate(20, 0, 0)) {
		t.Errorf("the CA is valid until %v, want 20 years", a.Certificate.NotAfter)
	}
	entries, _ := os.ReadDir(a.Dir)
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || strings.Contains(entry.Name(), "-key") && info.Mode().Perm() != secretMode {
			t.Errorf("%s: mode %v, %v", entry.Name(), info.Mode(), err)
		}
	}
}

// A CA that is restricted to some names issues no certificates for others.
func TestConstraints(t *testing.T) {
	a := create(t, "push.apple.com")
	for host, want := range map[string]bool{"gateway.push.apple.com": true, "bank.example.com": false} {
		if _, err := a.IssueServer(host, []string{host}, ECDSA, now); (err == nil) != want {
			t.Errorf("issuing for %s: got error %v", host, err)
		}
		cert, err := a.issue("forced-"+host, &x509.Certificate{DNSNames: []string{host}}, ECDSA, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.verify(t, cert, host, x509.ExtKeyUsageServerAuth, now); (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// Renewal keeps key and names, and leaves alone certificates that are not due and those of others.
func TestRenew(t *testing.T) {
	a := create(t)
	if _, err := a.IssueServer("server", AppleNames, RSA, now); err != nil {
		t.Fatal(err)
	}
	client, err := a.IssueClient("client", "com.example.mail", ECDSA, now)
	if err != nil {
		t.Fatal(err)
	}
	other := create(t)
	foreign, err := other.IssueServer("foreign", AppleNames, ECDSA, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeNew(filepath.Join(a.Dir, "foreign.pem"), certificatePEM(foreign.Raw), publicMode); err != nil {
		t.Fatal(err)
	}
	if a, err = Open(a.Dir); err != nil {
		t.Fatal(err)
	}
	later := now.AddDate(2, 2, 0)
	if all, err := a.Renew(30*24*time.Hour, now); err != nil || len(all) != 2 || all[0].Done || all[1].Done {
		t.Errorf("got %+v and %v, want nothing to do", all, err)
	}
	all, err := a.Renew(60*24*time.Hour, later)
	if err != nil || len(all) != 2 || !all[0].Done || !all[1].Done {
		t.Fatalf("got %+v and %v", all, err)
	}
	renewed, err := readCertificate(filepath.Join(a.Dir, "client.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if string(renewed.RawSubject) != string(client.RawSubject) ||
		string(renewed.RawSubjectPublicKeyInfo) != string(client.RawSubjectPublicKeyInfo) {
		t.Error("subject or key has changed")
	}
	if err := a.verify(t, renewed, "", x509.ExtKeyUsageClientAuth, later.AddDate(2, 0, 0)); err != nil {
		t.Error(err)
	}
	if kept, _ := readCertificate(filepath.Join(a.Dir, "foreign.pem")); !kept.Equal(foreign) {
		t.Error("somebody else's certificate was renewed")
	}
}

func TestOpen(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "certs init") {
		t.Errorf("got %v", err)
	}
	a := create(t)
	if _, err := Create(a.Dir, "again", nil, now); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("got %v", err)
	}
	if err := os.Rename(filepath.Join(a.Dir, KeyFile), filepath.Join(a.Dir, "away")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(a.Dir); err == nil || !strings.Contains(err.Error(), "is not here") {
		t.Errorf("got %v", err)
	}
	key, err := keyPEM(create(t).key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.Dir, KeyFile), key, secretMode); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(a.Dir); err == nil || !strings.Contains(err.Error(), "is not the key") {
		t.Errorf("got %v", err)
	}
	if _, err := (&Authority{Dir: a.Dir, Certificate: a.Certificate, key: a.key}).IssueServer("late", AppleNames, ECDSA,
		now.AddDate(21, 0, 0)); err == nil {
		t.Error("an expired CA still signs")
	}
}
