package gateway

import (
	"encoding/binary"
	"hash/maphash"
)

// looks is what hellos are told apart by before crypto/tls has read them. It is zero for
// something that is not a hello.
type looks struct {
	library uint64 // a hash of what the library offers: version, ciphers, which extensions
	random  uint64 // a hash of the 32 bytes that are new in each hello (RFC 8446, section 4.1.2)
}

// alike counts how often each part of looks occurs in a group of them.
type alike struct {
	all                int
	libraries, randoms map[uint64]int
}

// to is how much the group is like l: one hello that is sent again counts for more than any number of one library.
func (a *alike) to(l looks) int { return a.libraries[l.library] + a.randoms[l.random]*a.all }

// add counts l n times more, n being 1 or -1.
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

// looksOf reads a hello that comes in one record, as all but the longest do.
func looksOf(head []byte) looks {
	const (
		before      = 5 + 4 // the heads of record and message
		randomBytes = 32
	)
	r := helloFields{head}
	r.skip(before)
	version, random := r.take(2), r.take(randomBytes)
	r.skip(r.number(1)) // session identifier
	var library maphash.Hash
	library.SetSeed(looksSeed)
	library.Write(version)
	addValues(&library, r.take(r.number(2))) // ciphers
	r.skip(r.number(1))                      // compression methods
	var extensions uint64                    // a sum, for rustls and browsers send them in a different order each time
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

// comesAndGoes reports whether a library sends an extension only now and then: with a session
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

// addValues adds a list of two-byte values, leaving out those of RFC 8701.
func addValues(h *maphash.Hash, list []byte) {
	for ; len(list) >= 2; list = list[2:] {
		if !isGrease(binary.BigEndian.Uint16(list)) {
			h.Write(list[:2])
		}
	}
}

// helloFields are the fields of a hello that have not been read yet. A hello that was cut has
// less than its lengths say.
type helloFields struct{ left []byte }

func (f *helloFields) take(n int) []byte {
	n = min(n, len(f.left))
	taken := f.left[:n]
	f.left = f.left[n:]
	return taken
}

func (f *helloFields) skip(n int) { f.take(n) }

// number reads a number of size bytes.
func (f *helloFields) number(size int) (n int) {
	for _, b := range f.take(size) {
		n = n<<8 | int(b)
	}
	return n
}
