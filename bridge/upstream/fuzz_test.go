package upstream

import (
	"bytes"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"apnsbridge/binproto"
	"apnsbridge/gateway/devpki"
)

// FuzzCertificateCredential: a file gives a whole credential, or an error in one line that never
// contains the password.
func FuzzCertificateCredential(f *testing.F) {
	pair, err := pki().Issue(devpki.ClientOptions{Topic: topic, Key: devpki.RSA})
	if err != nil {
		f.Fatal(err)
	}
	cert, err := pair.TLS()
	if err != nil {
		f.Fatal(err)
	}
	const password = "correct horse"
	for _, e := range []*pkcs12.Encoder{pkcs12.Modern2023, pkcs12.LegacyDES, pkcs12.LegacyRC2, pkcs12.Passwordless} {
		secret := password
		if e == pkcs12.Passwordless {
			secret = ""
		}
		file, err := e.Encode(cert.PrivateKey.(*rsa.PrivateKey), pair.Leaf, nil, secret)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file, secret)
		f.Add(file, "wrong battery")
		f.Add(file, "correct it")
	}
	f.Add(append(bytes.Clone(pair.CertPEM), pair.KeyPEM...), "")
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n"), password)
	f.Fuzz(func(t *testing.T, file []byte, password string) {
		c, err := certificateCredential(file, password)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		if err != nil {
			const tellable = 8
			text := err.Error()
			if strings.Contains(text, "\n") {
				t.Fatalf("error is %q", text)
			}
			// An error that comes with any password may contain this one by chance.
			if len(password) >= tellable && strings.Contains(text, password) {
				if _, other := certificateCredential(file, "another "+password); other == nil || other.Error() != text {
					t.Fatalf("error is %q", text)
				}
			}
			return
		}
		if d := c.Describe(); d.Kind != "certificate" || d.Expires.IsZero() || c.certificate.PrivateKey == nil {
			t.Fatalf("described as %+v", d)
		}
		c.Check(time.Now())
	})
}

// FuzzTokenCredential: a file gives one P-256 key, or an error in one line.
func FuzzTokenCredential(f *testing.F) {
	pair, err := pki().Issue(devpki.ClientOptions{Topic: topic, Key: devpki.RSA})
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range [][]byte{pki().TokenKey, pair.CertPEM, pair.KeyPEM,
		append(bytes.Clone(pki().TokenKey), pki().TokenKey...),
		append([]byte("\xef\xbb\xbf"), pki().TokenKey...), []byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n")} {
		f.Add(file, "ABC123DEFG", "DEF123GHIJ")
	}
	f.Fuzz(func(t *testing.T, file []byte, keyID, teamID string) {
		c, err := NewTokenCredential(file, keyID, teamID)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		if err != nil {
			if text := err.Error(); strings.Contains(text, "\n") || len(text) > 1000 {
				t.Fatalf("error is %q", text)
			}
			return
		}
		if d := c.Describe(); d.Kind != "token" || d.KeyID != keyID || d.TeamID != teamID || c.Check(time.Now()) != nil {
			t.Fatalf("described as %+v", d)
		}
	})
}

// FuzzJudge: an answer is judged whatever its body is, and only what the table knows is blamed on
// the provider or its token.
func FuzzJudge(f *testing.F) {
	for _, a := range answers {
		f.Add(a.code, []byte(`{"reason":"`+a.reason+`"}`))
	}
	f.Add(200, []byte(""))
	f.Add(410, []byte(`{"reason":"Unregistered","timestamp":1780000000000}`))
	f.Add(410, []byte(`{"reason":"Unregistered","timestamp":"1e300"}`))
	f.Add(502, []byte("<html>"))
	f.Fuzz(func(t *testing.T, code int, body []byte) {
		v := judge(code, body)
		if v.Class == 0 || v.Class > Unknown || v.Code != code {
			t.Fatalf("got %+v", v)
		}
		if (v.Class == Accepted) != (code == 200) {
			t.Fatalf("%d was judged %+v", code, v)
		}
		row, known := answersBy.byReason[answerKey{code, v.Reason}]
		if blamed := v.Status != binproto.NoError || v.Class == Gone; blamed && (!known || v.Class != row.class || v.Status != row.status) {
			t.Fatalf("%d with %q was judged %+v, want as in the table", code, v.Reason, v)
		}
		now := time.Unix(1_780_000_000, 0)
		if at := v.GoneAt(now, now); at.After(now.Add(time.Hour)) || at.Before(time.Unix(0, 0)) {
			t.Fatalf("gone at %v, seen at %v", at, now)
		}
	})
}
