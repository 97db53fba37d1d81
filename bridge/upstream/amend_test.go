package upstream

import "testing"

func TestAmend(t *testing.T) {
	tests := []struct {
		name      string
		class     Class
		give, got Request
	}{
		{"priority 10", BadPriority, Request{PushType: "alert", Priority: 10}, Request{PushType: "alert", Priority: 5}},
		{"priority 5", BadPriority, Request{PushType: "alert", Priority: 5}, Request{PushType: "alert", Priority: 10}},
		{"priority 1", BadPriority, Request{PushType: "alert", Priority: 1}, Request{PushType: "alert", Priority: 10}},
		{"alert", BadPushType, Request{PushType: "alert", Priority: 10}, Request{PushType: "background", Priority: 5}},
		{"background", BadPushType, Request{PushType: "background", Priority: 5}, Request{PushType: "alert", Priority: 10}},
		{"voip", BadPushType, Request{PushType: "voip", Priority: 10}, Request{PushType: "alert", Priority: 10}},
		{"expiration", BadExpiration, Request{Expiration: 77}, Request{Expiration: NoExpiration}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.give
			got.Amend(tt.class)
			if got != tt.got {
				t.Errorf("got %+v, want %+v", got, tt.got)
			}
		})
	}
}
