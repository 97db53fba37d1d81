// Package bridge delivers notifications over HTTP/2 APNs and decides what each
// verdict means to the provider that sent them.
//
// A Session stands for one provider's connection. Each notification is copied
// once, takes its place in the connection's window, waits for the one before it
// to the same device, and goes out as
//
//	POST /3/device/<token>
//
// with its payload byte for byte. Verdicts come in any order and leave in the
// order of the frames: accepted ones in silence, dead devices into the feedback
// list, the first refusal as an error packet.
//
// What goes now, and what waits in memory or on disk, is decided by a lane.Lane for
// each app and environment; an appLane carries it out. What a provider is told, and
// which frames it has sent again, is decided by a conversation.Ledger for each client;
// a client carries it out. The packages below this one do not know it; docs/design.md
// draws the path of a notification through them.
//
// Source: Apple, "Sending notification requests to APNs" and "Handling
// notification responses from APNs".
package bridge
