// Package gateway turns TLS on gnet into Session calls, and serves the feedback
// port.
//
// A connection's life has three parts. Goroutines wait for a complete
// ClientHello and do the handshake over plain net, within the bounds of
// Limits. A Server then reads what comes at once; if the connection lasts, it
// gives it to one of gnet's loops, on which crypto/tls decrypts without ever
// waiting. A FeedbackServer gives it to a function of its owner. At the end it
// goes on reading until the provider has ended it too, because a reset would
// overtake the error response.
package gateway
