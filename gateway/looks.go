package gateway

import (
	"encoding/binary"
	"hash/maphash"
)

// looks is by what hellos are told apart before crypto/tls has read them. It is all
// zero where a hello is none.
type looks struct {
	library uint64 // of what its library offers: version, ciphers, which extensions
	random  uint64 // of the 32 bytes that are new in each (RFC 8446, section 4.1.2)
}

// alike is how often each part of them occurs in some looks.
type alike struct {
	all                int
	libraries, randoms map[uint64]int
}

// to is how much all are like l: one that is sent again counts for more than any number of one library.
func (a *alike) to(l looks) int { return a.libraries[l.library] + a.randoms[l.random]*a.all }

// add counts l once more, or once less.
func (a *alike) add(l looks, n int) {
	if a.libraries == nil {
		a.libraries, a.randoms = make(map[uint64]int), make(map[uint64]int)
	}
	a.all += n
	addTo(a.libraries, l.library, n)
	addTo(a.randoms, l.random, n)
}

func addTo(counts map[uint64]int, part uint64, n int) {
	if counts[part] += n; counts[part] == 0 {
		delete(counts, part)
	}
}

var looksSeed = maphash.MakeSeed()

// looksOf reads a hello in one record, as all are but the longest.
func looksOf(head []byte) looks {
	const (
		before      = 5 + 4 // the heads of record and message
		randomBytes = 32
	)
	r := helloFields{head}
	r.skip(before)
	version, random := r.take(2), r.take(randomBytes)
	r.skip(r.number(1)) // the session's identifier
	var library maphash.Hash
	library.SetSeed(looksSeed)
	library.Write(version)
	addValues(&library, r.take(r.number(2))) // ciphers
	r.skip(r.number(1))                      // compressions
	var extensions uint64                    // a sum, as rustls and browsers send them in another order each time
	for r.skip(2); len(r.left) > 0; {
		kind := r.take(2)
		r.skip(r.number(2))
		if !comesAndGoes(kind) {
			extensions += maphash.Bytes(looksSeed, kind)
		}
	}
	library.Write(binary.BigEndian.AppendUint64(nil, extensions))
	if len(random) < randomBytes {
		return looks{}
	}
	return looks{library: library.Sum64(), random: maphash.Bytes(looksSeed, random)}
}

// comesAndGoes reports whether one library sends an extension now and then: with a session
// that it resumes (RFC 8446, section 4.2), to fill up its hello (RFC 7685), or at random
// (RFC 8701).
func comesAndGoes(kind []byte) bool {
	const padding, preSharedKey, earlyData, cookie = 21, 41, 42, 44
	if len(kind) < 2 {
		return false
	}
	switch n := binary.BigEndian.Uint16(kind); n {
	case padding, preSharedKey, earlyData, cookie:
		return true
	default:
		return isGrease(n)
	}
}

// addValues adds a list of two-byte values, but for those of RFC 8701.
func addValues(h *maphash.Hash, list []byte) {
	for ; len(list) >= 2; list = list[2:] {
		if !isGrease(binary.BigEndian.Uint16(list)) {
			h.Write(list[:2])
		}
	}
}

// helloFields are the fields of a hello that have not been read. Of one that is cut there
// is less than it says.
type helloFields struct{ left []byte }

func (f *helloFields) take(n int) []byte {
	n = min(n, len(f.left))
	taken := f.left[:n]
	f.left = f.left[n:]
	return taken
}

func (f *helloFields) skip(n int) { f.take(n) }

// number reads one of so many bytes.
func (f *helloFields) number(size int) (n int) {
	for _, b := range f.take(size) {
		n = n<<8 | int(b)
	}
	return n
}
