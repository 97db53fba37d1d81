package main

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

// What the key derivations of a .p12 file may cost: some do two million
// iterations a second. The files that programs write have 2,048 to 600,000.
const (
	mostIterations    = 2_000_000
	mostIterationsSum = 3 * mostIterations // of MAC, certificate and key
	mostNesting       = 32
)

// checkIterations looks at the iterations of a .p12 file, as far as they can be
// seen without its password, and does none of them.
func checkIterations(der []byte) error {
	w := iterations{}
	w.walk(der, 0)
	return w.err
}

// iterations adds up what all key derivations of a file cost.
type iterations struct {
	sum int64
	err error
}

// walk looks for the parameters of PBE, PBKDF2 and the MAC (RFC 7292, appendix B
// and section 4; RFC 8018, appendix A): a salt, and behind it a number. An octet
// string may hold DER itself.
func (w *iterations) walk(der []byte, nesting int) {
	if nesting > mostNesting {
		w.err = errors.New("the .p12 file is nested too deep")
	}
	salt := false // what came before
	for len(der) > 0 && w.err == nil {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return // no DER: content that is encrypted, or a salt
		}
		der = rest
		if salt && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagInteger {
			w.add(v.FullBytes)
		}
		salt = v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString
		if salt || v.IsCompound {
			w.walk(v.Bytes, nesting+1)
		}
	}
}

func (w *iterations) add(der []byte) {
	var n int64
	if _, err := asn1.Unmarshal(der, &n); err != nil || n > mostIterations || w.sum+n > mostIterationsSum {
		w.err = fmt.Errorf("the .p12 file takes more than %d iterations to open: export it anew, with the number that its program sets by itself", mostIterations)
		return
	}
	w.sum += n
}
