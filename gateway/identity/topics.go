package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
)

// maxTopics bounds what is read from one extension; Apple lists a handful.
const maxTopics = 128

var (
	oidUID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1} // RFC 4519, 2.39

	// Apple, "Establishing a certificate-based connection to APNs": the two
	// extensions that list topics.
	oidTopics = []asn1.ObjectIdentifier{
		{1, 2, 840, 113635, 100, 6, 3, 4},
		{1, 2, 840, 113635, 100, 6, 3, 6},
	}

	// What stands before the topic in the common name.
	namePrefixes = []string{
		"Apple Push Services: ", "Apple Production IOS Push Services: ", "Apple Development IOS Push Services: ",
		"VoIP Services: ", "Pass Type ID: ", "Website Push ID: ", "APSP:",
	}
)

// Topics gives the topic of one of Apple's push certificates: the subject's UID,
// or else what the common name says, or else "". further are those that its
// extensions list besides. Each is fit for a header: up to 255 printable ASCII
// characters without blanks; anything else in its place counts as absent.
func Topics(cert *x509.Certificate) (topic string, further []string) {
	topic = uid(cert)
	if !isTopic(topic) {
		topic = commonNameTopic(cert.Subject.CommonName)
	}
	for _, listed := range listedTopics(cert) {
		if listed != topic && !slices.Contains(further, listed) {
			further = append(further, listed)
		}
	}
	return topic, further
}

// uid is the first UID in the subject, whatever it says.
func uid(cert *x509.Certificate) string {
	for _, name := range cert.Subject.Names {
		if s, ok := name.Value.(string); ok && name.Type.Equal(oidUID) {
			return s
		}
	}
	return ""
}

func commonNameTopic(name string) string {
	for _, prefix := range namePrefixes {
		if topic, ok := strings.CutPrefix(name, prefix); ok && isTopic(topic) {
			return topic
		}
	}
	return ""
}

func listedTopics(cert *x509.Certificate) []string {
	var all []string
	for _, e := range cert.Extensions {
		if slices.ContainsFunc(oidTopics, e.Id.Equal) {
			all = append(all, parseTopics(e.Value)...)
		}
	}
	return all
}

// parseTopics reads the value of an extension: a string, or a SEQUENCE in which
// each topic is followed by a SEQUENCE of what it is for. What is not DER has no
// topics.
func parseTopics(der []byte) []string {
	var list asn1.RawValue
	rest, err := asn1.Unmarshal(der, &list)
	if err != nil || len(rest) > 0 {
		return nil
	}
	if topic, ok := topicIn(list); ok {
		return []string{topic}
	}
	if list.Class != asn1.ClassUniversal || list.Tag != asn1.TagSequence {
		return nil
	}
	var topics []string
	for in := list.Bytes; len(in) > 0; {
		var v asn1.RawValue
		if in, err = asn1.Unmarshal(in, &v); err != nil {
			return nil
		}
		if topic, ok := topicIn(v); ok && len(topics) < maxTopics {
			topics = append(topics, topic)
		}
	}
	return topics
}

func topicIn(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String:
		return string(v.Bytes), isTopic(string(v.Bytes))
	}
	return "", false
}

func isTopic(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 255
}
