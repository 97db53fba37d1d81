package smallfile

import (
	"errors"
	"strings"
)

// PairProblem says what is the matter with a certificate and its key.
func PairProblem(err error) error {
	text := err.Error()
	for _, known := range []struct{ part, text string }{
		{"private key does not match", "the key is not the certificate's: name the two that were made together"},
		{"private key type does not match", "the key is not the certificate's: name the two that were made together"},
		{"PEM inputs may have been switched", "the two names are exchanged: the certificate is in the key's place"},
		{"find any PEM data in certificate", "the certificate is not PEM: convert it with openssl x509 -inform " +
			"DER -in FILE -out server.pem"},
		{"find any PEM data in key", "the key is not PEM: convert it with openssl pkey -inform DER -in FILE -out " +
			"server-key.pem"},
		{"parse private key", "the key cannot be read: decrypt it with openssl pkey -in FILE -out server-key.pem, " +
			"if it has a password"},
		{"find certificate PEM data", "the certificate's file has a key and no certificate: name the file with " +
			"BEGIN CERTIFICATE in it"},
		{"find PEM block with type ending in", "the key's file has no private key: decrypt it with openssl pkey, " +
			"or name the file with the key"},
	} {
		if strings.Contains(text, known.part) {
			return errors.New(known.text)
		}
	}
	if strings.HasPrefix(text, "tls:") || strings.HasPrefix(text, "x509:") || strings.HasPrefix(text, "asn1:") {
		return errors.New("they cannot be read: make new ones with `apnsbridge certs server`")
	}
	return Problem(err)
}
