package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
)

// subjectNames are those of Apple's certificates; pkix.Name knows fewer, and
// writes the value of a UID in hexadecimal.
var subjectNames = []struct {
	id   asn1.ObjectIdentifier
	name string
}{
	{oidUID, "UID"},
	{asn1.ObjectIdentifier{2, 5, 4, 3}, "CN"},
	{asn1.ObjectIdentifier{2, 5, 4, 5}, "serialNumber"},
	{asn1.ObjectIdentifier{2, 5, 4, 6}, "C"},
	{asn1.ObjectIdentifier{2, 5, 4, 7}, "L"},
	{asn1.ObjectIdentifier{2, 5, 4, 8}, "ST"},
	{asn1.ObjectIdentifier{2, 5, 4, 10}, "O"},
	{asn1.ObjectIdentifier{2, 5, 4, 11}, "OU"},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, "emailAddress"},
	{asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, "DC"},
}

// Subject is a certificate's subject for people to read: UID=com.example.mail,
// CN=Apple Push Services: com.example.mail, in the certificate's order and
// as Clip leaves it.
func Subject(cert *x509.Certificate) string {
	var b strings.Builder
	for i, attribute := range cert.Subject.Names {
		if b.Len() > clipped {
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(subjectName(attribute.Type))
		b.WriteByte('=')
		fmt.Fprint(&b, attribute.Value)
	}
	return Clip(b.String())
}

func subjectName(id asn1.ObjectIdentifier) string {
	for _, known := range subjectNames {
		if known.id.Equal(id) {
			return known.name
		}
	}
	return id.String()
}
