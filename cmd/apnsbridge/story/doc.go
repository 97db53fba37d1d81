// Package story is the whole story of a notification on loopback: phones with an
// app, a provider that speaks the binary protocol and has not been changed since
// 2010, the gateway, and an APNs. What happens is told as text, or on a page
// where one can take part.
//
// Everything on the stage is real but Apple: the phones are connected to a
// simulator's courier, the provider writes frames into a TLS socket, and the
// gateway runs as `serve` has it.
package story
