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
// What fails for a reason of its own is tried again after a back-off. What fails
// because APNs does not serve the app, or cannot be reached, opens the breaker of
// the app and environment: all others then wait, but for a probe now and then.
//
// What has to wait leaves memory for the spool, if there is one, and is read again
// a little ahead of its turn. A shelf is an app's part of it: it keeps the order of
// each device between memory and disk.
//
// Source: Apple, "Sending notification requests to APNs" and "Handling
// notification responses from APNs".
package bridge
