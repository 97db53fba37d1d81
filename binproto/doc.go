// Package binproto reads and writes the frames of Apple's binary provider
// interface, which was switched off on 31 March 2021 and which old providers
// still speak.
//
// A provider opens a TLS connection to port 2195 and writes frames, one
// notification each, in any of three layouts. All integers are big-endian.
//
//	simple    00 · u16 token length · token · u16 payload length · payload
//	enhanced  01 · u32 identifier · u32 expiry · u16 token length · token · u16 payload length · payload
//	framed    02 · u32 length · items { u8 id · u16 length · data }
//
// Success is silence. The first failure is answered by six bytes, after which
// the gateway ends the connection; all frames behind the failed one count as
// not sent.
//
//	response  08 · u8 status · u32 identifier
//
// On port 2196 the gateway writes one tuple for each device that has gone, and
// ends the connection.
//
//	tuple     u32 seconds since 1970 · u16 token length · token
//
// Source: Apple, Local and Remote Notification Programming Guide, "Binary
// Provider API" (archived) and "Legacy Notification Format".
//
// The package is a leaf: it takes bytes and returns bytes, allocates nothing on
// the way of a frame, and does no I/O. Sizes read from the wire are never
// trusted for an allocation.
package binproto
