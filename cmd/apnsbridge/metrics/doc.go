// Package metrics gives the gateway's figures to Prometheus: each family is one row of
// a table, with its name, its help and where its value is read, and is read from the
// parts' own Stats at each scrape.
//
// The same rows make docs/metrics.md. Names follow Prometheus' conventions: base units
// in the name, _total for what only grows, the environment of APNs as a label. What
// belongs to an app is there once the app has had something to do.
//
// https://prometheus.io/docs/practices/naming/
package metrics
