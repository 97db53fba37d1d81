package upstream

import "regexp"

// plainError says an error of a connection in words of the field's.
type plainError struct {
	words string
	err   error
}

// Error is said in the words of the field.
func (e *plainError) Error() string { return e.words }

// Unwrap gives the error that the words stand for.
func (e *plainError) Unwrap() error { return e.err }

// plainWords stand for what Go and its libraries say of connections. In order: what
// is longer comes first.
var plainWords = []struct {
	theirs *regexp.Regexp
	ours   string
}{
	{regexp.MustCompile(`h2conn: (dial )?`), ""},
	{regexp.MustCompile(`(dial|listen) (tcp|udp)[46]?( [^ ]+)?: `), ""},
	{regexp.MustCompile(`(read|write) (tcp|udp)[46]?( [^ ]+)?: `), ""}, // our port is another each time
	{regexp.MustCompile(`\b(connect|bind|read|write): `), ""},
	{regexp.MustCompile(`remote error: tls: `), "the other side ends the handshake: "},
	{regexp.MustCompile(`(tls: )?failed to verify certificate: (x509: )?`), ""},
	{regexp.MustCompile(`tls: first record does not look like a TLS handshake`), "what answers does not speak TLS"},
	{regexp.MustCompile(`\b(tls|x509|http2?): `), ""},
	{regexp.MustCompile(`lookup ([^ :]+)( on [^ ]+)?: no such host`), "the name $1 has no address"},
	{regexp.MustCompile(`lookup ([^ :]+)( on [^ ]+)?: `), "asking for the address of $1: "},
	{regexp.MustCompile(`address ([^ ]*): missing port in address`), "$1 has no port: write HOST:PORT"},
	{regexp.MustCompile(`context deadline exceeded|i/o timeout`), "no answer in time"},
	{regexp.MustCompile(`\b(unexpected )?EOF\b`), "the connection ends"},
}

// Plain is err without the names of Go's packages and calls, and without what
// differs between one attempt and the next. It wraps err.
func Plain(err error) error {
	if err == nil {
		return nil
	}
	words := err.Error()
	for _, w := range plainWords {
		words = w.theirs.ReplaceAllString(words, w.ours)
	}
	return &plainError{words, err}
}
