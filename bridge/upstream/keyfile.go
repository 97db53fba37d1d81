package upstream

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// keyFile is what a file of keys and certificates holds, whatever has made it:
// openssl, Keychain, keytool, Apple's portal, and an editor afterwards.
type keyFile struct {
	certificates []*x509.Certificate
	keys         []crypto.Signer
}

// readKeyFile opens PEM, in any order and however lines end; DER; PKCS #12; and
// the base64 of these. password opens what is encrypted. The error says what a
// file is that is of no use here, and what to do.
func readKeyFile(file []byte, password string) (*keyFile, error) {
	if err := foreignFile(file); err != nil {
		return nil, err
	}
	text := plainText(file)
	if blocks := pemBlocks(text); len(blocks) > 0 {
		return fromBlocks(blocks, password)
	}
	if isDER(file) {
		return fromDER(file, password)
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	switch {
	case err == nil && isDER(decoded):
		return fromDER(decoded, password)
	case err == nil && len(pemBlocks(plainText(decoded))) > 0:
		return fromBlocks(pemBlocks(plainText(decoded)), password)
	case strings.Contains(text, "-----BEGIN") && strings.Contains(text, "-----END"):
		return nil, errors.New("what stands between the lines BEGIN and END is no key or certificate: copy it again, " +
			"as a file")
	case strings.Contains(text, "-----BEGIN"):
		return nil, errors.New("the file has a line BEGIN and no END, it is cut: copy it again, as a file")
	}
	return nil, errors.New("the file is neither PEM, in which lines begin with -----BEGIN, nor .p12: " +
		"take it again from Keychain Access or Apple's developer site, as a file")
}

const jksRemedy = "convert it with keytool -importkeystore -srckeystore FILE -destkeystore push.p12 -deststoretype " +
	"PKCS12, and name push.p12"

// foreignFile says what a file is that cannot be opened, by how it begins.
func foreignFile(file []byte) error {
	start := strings.ToLower(strings.TrimSpace(string(bytes.TrimPrefix(file[:min(len(file), 512)],
		[]byte("\xef\xbb\xbf")))))
	switch {
	case len(bytes.TrimSpace(file)) == 0:
		return errors.New("the file is empty: copy the .p8, or the certificate with its key, there again")
	case bytes.HasPrefix(file, []byte("\xfe\xed\xfe\xed")), bytes.HasPrefix(file, []byte("\xce\xce\xce\xce")):
		return errors.New("the file is a Java key store (.jks): " + jksRemedy)
	case bytes.HasPrefix(file, []byte("PK\x03\x04")):
		return errors.New("the file is a .zip: unpack it, and name the .p12 or .p8 that is in it")
	case strings.HasPrefix(start, `{\rtf`):
		return errors.New("the file is rich text (.rtf), as a word processor saves it: take the key again, as a file")
	case strings.HasPrefix(start, "{"):
		return errors.New("the file is JSON, of another service perhaps: name the .p12 or .p8 for APNs")
	case strings.HasPrefix(start, "<!doctype") || strings.HasPrefix(start, "<html"):
		return errors.New("the file is a web page, of a download that wanted a login perhaps: download it again")
	case strings.HasPrefix(start, "bplist") || strings.HasPrefix(start, "<?xml"):
		return errors.New("the file is a property list: name the .p12 or .p8 itself")
	case strings.HasPrefix(start, "ssh-") || strings.HasPrefix(start, "ecdsa-sha2-"):
		return errors.New("the file is an SSH key, with which APNs has nothing to do: name the .p12 or .p8 for APNs")
	}
	return nil
}

// isDER reports whether it is a sequence of DER: a long one, as most are, or a short one
// that is all of the file, as an ECDSA key of SEC 1.
func isDER(file []byte) bool {
	return len(file) > 4 && file[0] == 0x30 && (file[1] >= 0x80 || int(file[1]) == len(file)-2)
}

func fromBlocks(blocks []*pem.Block, password string) (*keyFile, error) {
	f := new(keyFile)
	var all cost // before any is opened
	for _, b := range blocks {
		if b.Type == encryptedKey {
			if err := all.spend(b.Bytes); err != nil {
				return nil, err
			}
		}
	}
	for _, b := range blocks {
		switch {
		case b.Type == "CERTIFICATE" || b.Type == "TRUSTED CERTIFICATE" || b.Type == "X509 CERTIFICATE":
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil, errors.New("a certificate in the file cannot be read: copy it again, as a file")
			}
			f.certificates = append(f.certificates, c)
		case b.Type == "OPENSSH PRIVATE KEY":
			return nil, errors.New("the key is an SSH key, with which APNs has nothing to do: name the .p12 or .p8 " +
				"for APNs")
		case b.Type == "CERTIFICATE REQUEST" || b.Type == "NEW CERTIFICATE REQUEST":
			return nil, errors.New("the file is a request for a certificate (.csr): " +
				"upload it to Apple's developer site, and export the certificate that you get with its key as .p12")
		case b.Type == "PKCS7":
			return nil, errors.New("the file is a chain of certificates (.p7b) without a private key: " + cerRemedy)
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			key, err := privateKey(b, password)
			if err != nil {
				return nil, err
			}
			f.keys = append(f.keys, key)
		}
	}
	if len(f.certificates)+len(f.keys) == 0 {
		return nil, fmt.Errorf("the file has neither a certificate nor a private key, only %s: name the .p12 or "+
			".p8 for APNs", blocks[0].Type)
	}
	return f, nil
}

// encryptedKey is the type of a block whose key is encrypted in the way of PKCS #8.
const encryptedKey = "ENCRYPTED PRIVATE KEY"

const cerRemedy = "export certificate and key together as .p12 from Keychain Access on the Mac that made the request"

// privateKey reads a block in PKCS #1, PKCS #8 or SEC 1, encrypted in the way of
// PKCS #8 or in PEM's own old one.
func privateKey(b *pem.Block, password string) (crypto.Signer, error) {
	der := b.Bytes
	//lint:ignore SA1019 openssl wrote keys so for 20 years
	old := x509.IsEncryptedPEMBlock(b)
	if encrypted := old || b.Type == encryptedKey; encrypted && password == "" {
		return nil, errKeyLocked
	}
	switch {
	case old:
		var err error
		//lint:ignore SA1019 see above
		if der, err = x509.DecryptPEMBlock(b, []byte(password)); err != nil {
			return nil, errWrongPassword
		}
	case b.Type == encryptedKey:
		key, err := pkcs8.ParsePKCS8PrivateKey(der, []byte(password))
		switch {
		case err != nil && foreignCipher.MatchString(err.Error()):
			return nil, errForeignCipher
		case err != nil:
			return nil, errWrongPassword
		}
		return supported(key)
	}
	return parsePrivateKey(der)
}

// foreignCipher matches what pkcs8 says of PKCS #5 v1 (openssl pkcs8 -v1) and of
// what it does not know: no password opens that, and none is wrong.
var foreignCipher = regexp.MustCompile(`unsupported|only PBES2|invalid (KDF|cipher|PBES2) parameters`)

var errForeignCipher = errors.New("the private key is encrypted in a way that is not read here: encrypt it anew with " +
	"openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out FILE2, or decrypt it with openssl pkey -in FILE -out FILE2")

var (
	errKeyLocked = errors.New("the private key is encrypted: give its password, or decrypt it with openssl pkey " +
		"-in FILE -out FILE2")
	errStoreLocked = errors.New("the .p12 file has a password: give it as password")
)

// NeedsPassword reports whether err is that a file is encrypted, and no password was given.
func NeedsPassword(err error) bool {
	return errors.Is(err, errKeyLocked) || errors.Is(err, errStoreLocked)
}

var errWrongPassword = errors.New("the password does not open the private key: correct it")

func parsePrivateKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return supported(key)
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("the private key in the file cannot be read: copy it again, as a file")
}

func supported(key any) (crypto.Signer, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	}
	return nil, errors.New("the private key is neither RSA nor ECDSA, and APNs takes no other: " +
		"name the .p12 or .p8 for APNs")
}

// fromDER reads what is no text: .p12, .cer, a key.
func fromDER(der []byte, password string) (*keyFile, error) {
	if c, err := x509.ParseCertificate(der); err == nil {
		return &keyFile{certificates: []*x509.Certificate{c}}, nil
	}
	if key, err := parsePrivateKey(der); err == nil {
		return &keyFile{keys: []crypto.Signer{key}}, nil
	}
	if err := checkCost(der); err != nil {
		return nil, err
	}
	f, err := fromPKCS12(der, password)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, errNoKeyInside):
		return nil, err
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && password == "":
		return nil, errStoreLocked
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, errors.New("the password does not open the .p12 file: correct it")
	case bytes.Contains(der, []byte("<plist")):
		return nil, errors.New("the file is a provisioning profile, in which there is no key: name the .p12 or .p8 " +
			"for APNs")
	}
	if key, err := pkcs8.ParsePKCS8PrivateKey(der, []byte(password)); err == nil {
		key, err := supported(key)
		return &keyFile{keys: []crypto.Signer{key}}, err
	}
	return nil, errors.New("the file cannot be read as .p12, .cer or key, it is cut or of another kind: " +
		"export it again as .p12 from Keychain Access, or convert it with openssl pkcs12 -in FILE -out push.pem")
}

// fromPKCS12 takes all keys and certificates, of which pkcs12.DecodeChain wants
// exactly one and the rest of its chain.
func fromPKCS12(der []byte, password string) (*keyFile, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(der, password)
	if err == nil {
		key, err := supported(key)
		return &keyFile{append([]*x509.Certificate{leaf}, chain...), []crypto.Signer{key}}, err
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, err
	}
	//lint:ignore SA1019 nothing else gives several keys; parsePrivateKey knows its raw ones
	blocks, several := pkcs12.ToPEM(der, password)
	if several != nil {
		if strings.Contains(err.Error(), "private key missing") {
			return nil, errNoKeyInside
		}
		return nil, err
	}
	for _, b := range blocks {
		b.Headers = nil
	}
	return fromBlocks(blocks, "")
}

var errNoKeyInside = errors.New("the .p12 file has certificates and no private key: " + cerRemedy)
