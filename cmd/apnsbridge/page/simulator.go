package page

import (
	"net/http"

	"apnsbridge/bridge/apnssim"
)

// Simulator is what simulator.html shows: what a simulator of APNs has received.
type Simulator struct {
	URL    string
	Stats  apnssim.Stats
	Pushes []apnssim.Push // latest first
}

// WriteSimulator answers with the page of a simulator.
func WriteSimulator(w http.ResponseWriter, s *Simulator) { write(w, "simulator.html", s) }

// payload is a payload as text, of which a page has room for so much.
func payload(b []byte) string {
	const most = 512
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}
