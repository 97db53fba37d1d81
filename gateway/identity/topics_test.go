package identity

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"apnsbridge/gateway/devpki"
)

// named is a certificate with this common name and, unless it is nil, this UID.
func named(commonName string, uid any, extensions ...pkix.Extension) *x509.Certificate {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: commonName}, Extensions: extensions}
	if uid != nil {
		c.Subject.Names = []pkix.AttributeTypeAndValue{{Type: oidUID, Value: uid}}
	}
	return c
}

// Apple's extension 4 or 6 with a value in hex.
func listing(last int, value string) pkix.Extension {
	der, err := hex.DecodeString(value)
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, last}, Value: der}
}

func TestTopics(t *testing.T) {
	const a, b = "0c0161", "0c0162" // UTF8String
	const kinds = "30050c03617070"  // SEQUENCE of "app"
	for _, tt := range []struct {
		name    string
		cert    *x509.Certificate
		topic   string
		further []string
	}{
		{"UID", named("Apple Push Services: b", "a"), "a", nil},
		{"universal", named("Apple Push Services: a", nil), "a", nil},
		{"production", named("Apple Production IOS Push Services: a", nil), "a", nil},
		{"sandbox", named("Apple Development IOS Push Services: a", nil), "a", nil},
		{"VoIP", named("VoIP Services: a", nil), "a", nil},
		{"Wallet", named("Pass Type ID: pass.a", nil), "pass.a", nil},
		{"Safari", named("Website Push ID: web.a", nil), "web.a", nil},
		{"MDM", named("APSP:0-1-2", nil), "0-1-2", nil},
		{"MDM with UID", named("APSP:0-1-2", "com.apple.mgmt.External.0-1-2"), "com.apple.mgmt.External.0-1-2", nil},
		{"another name", named("a", nil), "", nil},
		{"nothing", named("", nil), "", nil},
		{"UID that is no text", named("APSP:b", 7), "b", nil},
		{"UID that would break a header", named("APSP:b", "a\r\nx: y"), "b", nil},
		{"UID with a blank", named("", "a b"), "", nil},
		{"UID beyond ASCII", named("", "ä"), "", nil},
		{"longest", named("", strings.Repeat("a", 255)), strings.Repeat("a", 255), nil},
		{"too long", named("", strings.Repeat("a", 256)), "", nil},

		{"further", named("", "x", listing(6, "3012"+a+kinds+b+"3003"+"0c0163")), "x", []string{"a", "b"}},
		{"in the other one", named("", "x", listing(4, "300a"+a+kinds)), "x", []string{"a"}},
		{"in both", named("", "x", listing(4, "3003"+a), listing(6, "3006"+a+b)), "x", []string{"a", "b"}},
		{"its own again", named("", "a", listing(6, "3006"+a+b)), "a", []string{"b"}},
		{"without a UID", named("", nil, listing(6, "3003"+a)), "", []string{"a"}},
		{"a mere string", named("", "x", listing(4, a)), "x", []string{"a"}},
		{"PrintableString and IA5String", named("", "x", listing(6, "3006"+"130161"+"160162")), "x", []string{"a", "b"}},
		{"a number", named("", "x", listing(6, "3003"+"020101")), "x", nil},
		{"a string of bytes", named("", "x", listing(6, "3003"+"040161")), "x", nil},
		{"a string of Apple's own", named("", "x", listing(6, "3003"+"8c0161")), "x", nil},
		{"another extension", named("", "x", listing(5, "3003"+a)), "x", nil},
		{"NULL", named("", "x", listing(6, "0500")), "x", nil},
		{"empty", named("", "x", listing(6, "")), "x", nil},
		{"empty list", named("", "x", listing(6, "3000")), "x", nil},
		{"cut short", named("", "x", listing(6, "3006"+a)), "x", nil},
		{"cut short within", named("", "x", listing(6, "3005"+a+"0c02")), "x", nil},
		{"something behind", named("", "x", listing(6, "3003"+a+"00")), "x", nil},
		{"indefinite length", named("", "x", listing(6, "3080"+a+"0000")), "x", nil},
		{"a topic that would break a header", named("", "x", listing(6, "3006"+a+"0c010a")), "x", []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			topic, further := Topics(tt.cert)
			if topic != tt.topic || !slices.Equal(further, tt.further) {
				t.Errorf("got %q and %q, want %q and %q", topic, further, tt.topic, tt.further)
			}
		})
	}
}

// The list is bounded.
func TestTopicsBound(t *testing.T) {
	var list []asn1.RawValue
	for i := range 10 * maxTopics {
		list = append(list, asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: bytes.Repeat([]byte{'a'}, 1+i%200)})
	}
	value, err := asn1.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(parseTopics(value)); got != maxTopics {
		t.Errorf("got %d topics, want %d", got, maxTopics)
	}
}

// What devpki makes as Apple does reads as it should, from a parsed certificate.
func TestTopicsOfCertificate(t *testing.T) {
	chain := issue(t, create(t).ours, devpki.ClientOptions{Topic: "com.example.mail", NoUID: true})
	topic, further := Topics(chain[0])
	if want := []string{"com.example.mail.voip", "com.example.mail.complication"}; topic != "com.example.mail" ||
		!slices.Equal(further, want) {
		t.Errorf("got %q and %q, want com.example.mail and %q", topic, further, want)
	}
	if topic, _ := Topics(old(t)[0]); topic != "com.example.old" {
		t.Errorf("got %q, want com.example.old", topic)
	}
}

// A stranger's extension yields bounded, printable topics, or none.
func FuzzTopics(f *testing.F) {
	for _, seed := range []string{"", "0500", "0c0161", "3003" + "0c0161", "300a" + "0c0161" + "3005" + "0c03617070",
		"3080" + "0c0161" + "0000", "30840000000a", "3003" + "0c0261"} {
		f.Add(listing(6, seed).Value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		topics := parseTopics(value)
		if len(topics) > maxTopics {
			t.Errorf("got %d topics", len(topics))
		}
		for _, topic := range topics {
			if !isTopic(topic) || !bytes.Contains(value, []byte(topic)) {
				t.Errorf("got topic %q", topic)
			}
		}
	})
}
