package devpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"path"
	"time"
)

// Key is a kind of private key.
type Key uint8

const (
	ECDSA Key = iota // P-256, quick to make
	RSA              // 2048 bits, what Apple issued
)

func (k Key) generate() (crypto.Signer, error) {
	if k == RSA {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// ClientOptions says what a client certificate looks like. The zero value is a
// certificate with which Apple has nothing to do.
type ClientOptions struct {
	Topic      string    // in the UID, the common name and Apple's extension; "" for none of them
	NoUID      bool      // leave the topic out of the subject's UID
	Topics     []string  // in Apple's extension behind Topic; by default its .voip and .complication
	Sandbox    bool      // as Apple made them for the sandbox alone
	CommonName string    // by default "Apple Push Services: " and the topic
	NotBefore  time.Time // by default an hour ago
	NotAfter   time.Time // by default the end of the CA
	Key        Key
}

var (
	oidUID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1} // RFC 4519, 2.39

	// Apple, Worldwide Developer Relations Certification Practice Statement:
	// the extensions of push certificates.
	oidDevelopment = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 1}
	oidProduction  = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 2}
	oidTopics      = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 6}
)

// Issue makes a client certificate, signed by the CA.
func (p *PKI) Issue(o ClientOptions) (Pair, error) {
	key, err := o.Key.generate()
	if err != nil {
		return Pair{}, fmt.Errorf("client certificate: %w", err)
	}
	template, err := o.template(p.CA.Leaf)
	if err != nil {
		return Pair{}, fmt.Errorf("client certificate for %q: %w", o.Topic, err)
	}
	pair, err := p.sign(template, p.CA.Leaf, key)
	if err != nil {
		return Pair{}, fmt.Errorf("client certificate for %q: %w", o.Topic, err)
	}
	return pair, nil
}

func (o ClientOptions) template(ca *x509.Certificate) (*x509.Certificate, error) {
	cert := &x509.Certificate{
		Subject:     pkix.Name{CommonName: o.CommonName, Country: []string{"US"}},
		NotBefore:   o.NotBefore,
		NotAfter:    o.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if o.NotBefore.IsZero() {
		cert.NotBefore = ca.NotBefore
	}
	if o.NotAfter.IsZero() {
		cert.NotAfter = ca.NotAfter
	}
	if o.Topic == "" {
		return cert, nil
	}
	if o.CommonName == "" {
		cert.Subject.CommonName = "Apple Push Services: " + o.Topic
	}
	if !o.NoUID {
		cert.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidUID, Value: o.Topic}}
	}
	topics, err := o.topicsExtension()
	if err != nil {
		return nil, err
	}
	cert.ExtraExtensions = []pkix.Extension{{Id: oidDevelopment, Value: asn1.NullBytes}, {Id: oidTopics, Value: topics}}
	if !o.Sandbox {
		cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: oidProduction, Value: asn1.NullBytes})
	}
	return cert, nil
}

// topicsExtension lists the topics as Apple does: one flat SEQUENCE in which each
// topic, a UTF8String, is followed by a SEQUENCE of what it is for.
func (o ClientOptions) topicsExtension() ([]byte, error) {
	further := o.Topics
	if further == nil {
		further = []string{o.Topic + ".voip", o.Topic + ".complication"}
	}
	var list []asn1.RawValue
	for _, topic := range append([]string{o.Topic}, further...) {
		kind := "app"
		if last := path.Ext(topic); last == ".voip" || last == ".complication" {
			kind = last[1:]
		}
		kinds, err := asn1.Marshal([]asn1.RawValue{utf8String(kind)})
		if err != nil {
			return nil, err
		}
		list = append(list, utf8String(topic), asn1.RawValue{FullBytes: kinds})
	}
	return asn1.Marshal(list)
}

func utf8String(s string) asn1.RawValue {
	return asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)}
}

func (p *PKI) sign(template, parent *x509.Certificate, key crypto.Signer) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), p.caKey)
	if err != nil {
		return Pair{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return Pair{}, err
	}
	keyText, err := keyPEM(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  keyText,
		Leaf:    leaf,
	}, nil
}

func keyPEM(key crypto.Signer) ([]byte, error) {
	if key, ok := key.(*rsa.PrivateKey); ok {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
