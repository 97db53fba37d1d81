package server

import (
	"testing"

	"apnsbridge/bridge"
	"apnsbridge/gateway"
)

// The port's environment takes precedence over the name that was asked for; most old
// libraries ask for none.
func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		label, name string
		want        bridge.Environment
	}{
		{"", "", bridge.Production},
		{"", "gateway.push.apple.com", bridge.Production},
		{"", "gateway.sandbox.push.apple.com", bridge.Sandbox},
		{"", "feedback.sandbox.push.apple.com", bridge.Sandbox},
		{"", "sandbox", bridge.Production},
		{"sandbox", "", bridge.Sandbox},
		{"sandbox", "gateway.push.apple.com", bridge.Sandbox},
		{"production", "", bridge.Production},
		{"production", "gateway.sandbox.push.apple.com", bridge.Production},
	} {
		if got := environment(&gateway.Hello{Label: tt.label, ServerName: tt.name}); got != tt.want {
			t.Errorf("port %q, name %q: got %v, want %v", tt.label, tt.name, got, tt.want)
		}
	}
}
