package config

// The most that limits may be: what is behind them bears no more.
const (
	maxTokenBytes       = 1024       // of one token; the feedback list has no longer ones
	maxWaitingDevices   = 10_000_000 // some 112 bytes each
	maxTopicsPerApp     = 100_000
	maxSpoolReserve     = 1 << 40
	maxSpoolDeviceShare = 100 // percent
)

func (l Limits) validateBounds(s *source) {
	for _, b := range []struct {
		name        string
		value, most int64
	}{
		{"token_bytes", int64(l.TokenBytes.Max), maxTokenBytes},
		{"waiting_devices", int64(l.WaitingDevices), maxWaitingDevices},
		{"topics_per_app", int64(l.TopicsPerApp), maxTopicsPerApp},
		{"spool_reserve", int64(l.SpoolReserve), maxSpoolReserve},
		{"spool_device_share", int64(l.SpoolDeviceShare), maxSpoolDeviceShare},
	} {
		if b.value > b.most {
			s.reject("limits."+b.name, "%d is more than the %d that it may be at most", b.value, b.most)
		}
	}
}
