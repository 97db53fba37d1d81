// Package page shows an operator how the gateway stands: what is to be seen to first,
// how it was during the last hour and day, each app, and each bound.
//
// The simulator of APNs has a page too: what it has received.
//
// It is given facts and writes HTML. The server draws all of it, plots too, so that the
// pages work without JavaScript; with it they keep themselves up to date.
package page
