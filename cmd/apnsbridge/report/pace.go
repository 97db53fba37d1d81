package report

import "time"

// paced is of how many notifications of a connection the pauses are measured: enough to know a habit by, and no more
// looks at the clock than that.
const paced = 64

// Pace is how the first notifications of connections have followed one another.
type Pace struct {
	Short  uint64 `json:"short"`  // pauses that no library makes on purpose
	Middle uint64 `json:"middle"` // such as ApnsPHP makes, which sleeps 10 ms behind each
	Long   uint64 `json:"long"`   // there was nothing to send

	last time.Time
}

const (
	noPause  = 5 * time.Millisecond
	thePause = 60 * time.Millisecond
)

// see takes the time at which a notification has come, of which so many came before on its connection.
func (p *Pace) see(before uint64, at time.Time) {
	if before >= paced {
		return
	}
	if before > 0 {
		switch pause := at.Sub(p.last); {
		case pause < noPause:
			p.Short++
		case pause < thePause:
			p.Middle++
		default:
			p.Long++
		}
	}
	p.last = at
}

func (p *Pace) merge(o Pace) {
	p.Short, p.Middle, p.Long = p.Short+o.Short, p.Middle+o.Middle, p.Long+o.Long
}

// known reports whether enough pauses were measured.
func (p *Pace) known() bool { return p.Short+p.Middle+p.Long >= 8 }

// bursts reports whether most follow at once. What a network holds up comes at once too, but not all of it.
func (p *Pace) bursts() bool { return p.known() && p.Short > p.Middle+p.Long }

// sleeps reports whether the same short pause is behind most.
func (p *Pace) sleeps() bool { return p.known() && p.Middle > 3*(p.Short+p.Long) }
