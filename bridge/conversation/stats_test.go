package conversation

import (
	"reflect"
	"testing"
)

// Add sums every field, whatever its type.
func TestStatsAdd(t *testing.T) {
	var one, sum Stats
	fields := reflect.ValueOf(&one).Elem()
	for i := range fields.NumField() {
		if f := fields.Field(i); f.CanUint() {
			f.SetUint(uint64(i + 1))
		} else {
			f.SetInt(int64(i + 1))
		}
	}
	sum.Add(one)
	sum.Add(one)
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		if got, want := reflect.ValueOf(sum).Field(i), int64(2*(i+1)); got.CanUint() && got.Uint() != uint64(want) || got.CanInt() && got.Int() != want {
			t.Errorf("%s is %v, want %d", name, got, want)
		}
	}
}
