package bridge

import "time"

// backoff says how long to wait after failures in a row: first, twice that, and
// so on up to most. What many wait for at once shall not be asked for by all at
// the same moment: so the last half of each wait is left to chance.
type backoff struct {
	first, most time.Duration
	random      func() float64 // at least 0 and less than 1
}

// after is the wait after n failures more than one.
func (b *backoff) after(n int) time.Duration {
	d := b.most
	if n < 63 && b.first <= b.most>>n {
		d = b.first << n
	}
	return d/2 + time.Duration(b.random()*float64(d-d/2))
}

// heldPeriod is the least, and half of the most, between two attempts for an app
// whose credential or topic APNs does not take: only its operator can mend that.
const heldPeriod = 30 * time.Second

func (b *backoff) held() time.Duration {
	return heldPeriod + time.Duration(b.random()*float64(heldPeriod))
}
