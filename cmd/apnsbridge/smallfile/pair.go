package smallfile

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
)

// Pair reads a certificate, with those that have signed it in any order, and its
// key. The error says what is the matter with the files, and what to do.
func Pair(certificate, key string) (tls.Certificate, error) {
	certText, err := Read(certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyText, err := Read(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	certText, keyText = withoutMark(certText), withoutMark(keyText)
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil && strings.Contains(err.Error(), "does not match") {
		for _, reordered := range leafFirst(certText) {
			if found, err := tls.X509KeyPair(reordered, keyText); err == nil {
				return found, nil
			}
		}
	}
	if err != nil {
		err = pairProblem(certText, keyText, err)
	}
	return pair, err
}

// withoutMark takes off the byte order mark that editors write, in front of which
// there is no line BEGIN.
func withoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) }

// leafFirst are the certificates of a file with another of them in the first place
// each time: TLS wants it to be that of the key.
func leafFirst(text []byte) (all [][]byte) {
	const most = 10 // of a chain
	var blocks [][]byte
	for block, rest := pem.Decode(text); block != nil && len(blocks) < most; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			blocks = append(blocks, pem.EncodeToMemory(block))
		}
	}
	for i := 1; i < len(blocks); i++ {
		others := append(append([][]byte{blocks[i]}, blocks[:i]...), blocks[i+1:]...)
		all = append(all, bytes.Join(others, nil))
	}
	return all
}

// pairProblem says what is the matter with a certificate and its key, and what to do.
func pairProblem(certificate, key []byte, err error) error {
	if what := notPEM(certificate); what != "" {
		return errors.New("the certificate's file is " + what)
	}
	if what := notPEM(key); what != "" {
		return errors.New("the key's file is " + what)
	}
	const begin, exchanged = "-----BEGIN ", "the two names are exchanged: the certificate is in the key's place"
	certificateHas, keyHas := blockTypes(certificate), blockTypes(key)
	switch {
	case !strings.Contains(certificateHas, "CERTIFICATE ") && strings.Contains(certificateHas, "PRIVATE KEY ") &&
		strings.Contains(keyHas, "CERTIFICATE "):
		return errors.New(exchanged)
	case certificateHas == "" && bytes.Contains(certificate, []byte(begin)):
		return errors.New("the certificate's file is cut, or its lines are spoilt: copy it again, as a file")
	case keyHas == "" && bytes.Contains(key, []byte(begin)):
		return errors.New("the key's file is cut, or its lines are spoilt: copy it again, as a file")
	case !strings.Contains(certificateHas, "CERTIFICATE "):
		return errors.New("the certificate's file has no certificate: name the file with BEGIN CERTIFICATE in it")
	case !strings.Contains(keyHas, "PRIVATE KEY "):
		return errors.New("the key's file has no private key: name the file with BEGIN PRIVATE KEY in it")
	case strings.Contains(keyHas, "ENCRYPTED PRIVATE KEY ") || bytes.Contains(key, []byte("Proc-Type: 4,ENCRYPTED")):
		return errors.New("the key is encrypted: decrypt it with openssl pkey -in FILE -out FILE2, and name FILE2")
	case strings.Contains(err.Error(), "does not match"):
		return errors.New("the key is not the certificate's: name the two that were made together")
	case strings.Contains(err.Error(), "parse private key"):
		return errors.New("the key cannot be read: copy it again, as a file")
	}
	return errors.New("they cannot be read: copy them again, as files")
}

// blockTypes are those of the PEM blocks in a text, each with a blank behind it.
func blockTypes(text []byte) string {
	var types strings.Builder
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		types.WriteString(block.Type + " ")
	}
	return types.String()
}

// notPEM says what a file is that has no PEM in it, and how to make PEM of it; "" if
// it may have some.
func notPEM(file []byte) string {
	switch {
	case len(bytes.TrimSpace(file)) == 0:
		return "empty: put the PEM there"
	case bytes.Contains(file[:min(len(file), 64)], []byte{0}) && bytes.Contains(file, []byte("-\x00-\x00-\x00")):
		return "saved as UTF-16 (\"Unicode\"): save it as UTF-8"
	case bytes.Contains(file, []byte("-----BEGIN ")):
		return ""
	case file[0] == 0x30: // a sequence of DER
		if _, err := x509.ParseCertificate(file); err == nil {
			return "a certificate in DER: convert it with openssl x509 -inform DER -in FILE -out FILE2, and name FILE2"
		}
		if isPrivateKey(file) {
			return "a key in DER: convert it with openssl pkey -inform DER -in FILE -out FILE2, and name FILE2"
		}
		return "a .p12, or another that is not PEM: convert it with openssl pkcs12 -in FILE -nodes -out FILE2, and name " +
			"FILE2 for both"
	}
	return "not PEM, in which lines begin with -----BEGIN: name the right one"
}

func isPrivateKey(der []byte) bool {
	_, pkcs8 := x509.ParsePKCS8PrivateKey(der)
	_, pkcs1 := x509.ParsePKCS1PrivateKey(der)
	_, sec1 := x509.ParseECPrivateKey(der)
	return pkcs8 == nil || pkcs1 == nil || sec1 == nil
}
