package upstream

import (
	"sync"
	"testing"
	"time"
)

func TestBearer(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := tokenCredential(t).Bearer(func() time.Time { return now })
	current := func() string {
		t.Helper()
		value, err := b.current()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	renew := func(refused string, want bool) {
		t.Helper()
		if got := b.renew(refused); got != want {
			t.Errorf("renewed is %v, want %v", got, want)
		}
	}
	first := current()
	now = now.Add(bearerAge - time.Second)
	if current() != first {
		t.Error("minted anew before its time")
	}
	now = now.Add(time.Second)
	second := current()
	if second == first {
		t.Error("not minted anew in time")
	}
	renew(first, false)
	if current() != second {
		t.Error("minted because an older one was refused")
	}
	renew(second, true)
	third := current()
	if third == second {
		t.Error("a refused one is still in use")
	}
	now = now.Add(bearerInterval - time.Second)
	renew(third, false)
	if current() != third {
		t.Error("minted twice within 20 minutes")
	}
	now = now.Add(time.Second)
	renew(third, true)
	if current() == third {
		t.Error("not minted after 20 minutes")
	}
	now = now.Add(-time.Hour)
	if clockBack := current(); clockBack == third {
		t.Error("one from the future is still in use")
	}
}

func TestBearerIsMintedOnceForAll(t *testing.T) {
	b := tokenCredential(t).Bearer(time.Now)
	values := make([]string, 50)
	var wg sync.WaitGroup
	for i := range values {
		wg.Go(func() { values[i], _ = b.current() })
	}
	wg.Wait()
	// ES256 signs with a random number: two tokens are never equal.
	for _, v := range values {
		if v == "" || v != values[0] {
			t.Fatalf("got %q and %q", v, values[0])
		}
	}
}
