// Package gateway turns TLS on gnet into Session calls, and serves the feedback
// port.
//
// A connection's life has three parts. First, goroutines wait for a complete
// ClientHello and do the handshake over plain net, within the bounds of Limits.
// Then a Server reads what comes at once; if the connection lasts, it gives it to
// one of gnet's loops, on which crypto/tls decrypts without ever waiting. A
// FeedbackServer instead gives it to a function of its owner. In the end, after
// our side has ended, reading goes on until the provider has ended its side too,
// because a reset would overtake the error response.
package gateway
