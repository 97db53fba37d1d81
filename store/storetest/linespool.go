package storetest

import "testing"

// LineSpool tests a store.LineSpool. place makes places, each of its own.
func LineSpool(t *testing.T, place func(t *testing.T) LinePlace) {
	t.Run("random histories", func(t *testing.T) { randomLineSpool(t, func() LinePlace { return place(t) }) })
}
