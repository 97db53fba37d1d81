package upstream

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

// What the key derivations of a file may cost: some do two million iterations a
// second. The files that programs write have 2,048 to 600,000, and with scrypt
// 16 MiB.
const (
	mostIterations    = 2_000_000
	mostIterationsSum = 3 * mostIterations // of MAC, certificate and key
	mostScryptMemory  = 128 << 20
	mostNesting       = 32
)

// checkCost looks at what it takes to open a .p12 file or an encrypted key, as far
// as it can be seen without the password, and does none of it.
func checkCost(der []byte) error { return new(cost).spend(der) }

func (c *cost) spend(der []byte) error {
	c.walk(der, 0)
	return c.err
}

// cost adds up all key derivations of a file.
type cost struct {
	iterations int64
	err        error
}

var oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}

// walk looks for the parameters of PBE, PBKDF2 and the MAC (RFC 7292, appendix B
// and section 4; RFC 8018, appendix A), which are a salt, and behind it a number;
// and for those of scrypt (RFC 7914, section 7). An octet string may hold DER
// itself.
func (c *cost) walk(der []byte, nesting int) {
	if nesting > mostNesting {
		c.err = errors.New("the file is nested too deep for a .p12 or a key")
	}
	salt, scrypt := false, false // what came before
	for len(der) > 0 && c.err == nil {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return // no DER: content that is encrypted, or a salt
		}
		der = rest
		switch universal := v.Class == asn1.ClassUniversal; {
		case universal && scrypt && v.Tag == asn1.TagSequence:
			c.addScrypt(v.FullBytes)
		case universal && salt && v.Tag == asn1.TagInteger:
			c.add(v.FullBytes)
		}
		salt = v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString
		var id asn1.ObjectIdentifier
		_, err = asn1.Unmarshal(v.FullBytes, &id)
		scrypt = err == nil && id.Equal(oidScrypt)
		if salt || v.IsCompound {
			c.walk(v.Bytes, nesting+1)
		}
	}
}

func (c *cost) add(der []byte) {
	var n int64
	if _, err := asn1.Unmarshal(der, &n); err != nil || n > mostIterations || c.iterations+n > mostIterationsSum {
		c.err = fmt.Errorf("the file takes more than %d iterations to open: export it anew, with the number that its "+
			"program sets by itself", mostIterations)
		return
	}
	c.iterations += max(n, 0)
}

// addScrypt bounds the memory, and by the same figure the time.
func (c *cost) addScrypt(der []byte) {
	const most = mostScryptMemory / 128
	var v struct {
		Salt                         []byte
		Cost, BlockSize, Parallelism int64
		KeyLength                    int64 `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(der, &v)
	if err != nil || max(v.Cost, v.BlockSize, v.Parallelism) > most || v.Cost*v.BlockSize > most ||
		v.Cost*v.BlockSize*v.Parallelism > most {
		c.err = fmt.Errorf("the file takes more than %d MiB of memory to open: export it anew, with what its program "+
			"sets by itself", mostScryptMemory>>20)
	}
}
