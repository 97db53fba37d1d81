package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSubject(t *testing.T) {
	name := func(id asn1.ObjectIdentifier, value any) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: id, Value: value}
	}
	cn := asn1.ObjectIdentifier{2, 5, 4, 3}
	for _, tt := range []struct {
		names []pkix.AttributeTypeAndValue
		want  string
	}{
		{nil, ""},
		{[]pkix.AttributeTypeAndValue{name(oidUID, "com.example.mail"), name(cn,
			"Apple Push Services: com.example.mail"), name(asn1.ObjectIdentifier{2, 5, 4, 6}, "US")},
			"UID=com.example.mail, CN=Apple Push Services: com.example.mail, C=US"},
		{[]pkix.AttributeTypeAndValue{name(asn1.ObjectIdentifier{1, 2, 3}, 7)}, "1.2.3=7"},
		{[]pkix.AttributeTypeAndValue{name(cn, "a\nb\x1b[2J\xff")}, "CN=a.b.[2J."},
	} {
		if got := Subject(&x509.Certificate{Subject: pkix.Name{Names: tt.names}}); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	long := Subject(&x509.Certificate{Subject: pkix.Name{Names: []pkix.AttributeTypeAndValue{name(cn,
		strings.Repeat("ü", 10_000))}}})
	if len(long) > clipped+3 || !utf8.ValidString(long) {
		t.Errorf("got %d bytes, %q", len(long), long)
	}
}
