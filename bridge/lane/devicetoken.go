package lane

// deviceToken is the token of a device. One of the usual size lies within the entry, so
// that a lookup brings both into the processor's caches together.
type deviceToken struct {
	other *[]byte // nil: the token has the usual size
	usual [32]byte
}

// set makes t a copy of token. It reuses the memory of the previous one where that is
// large enough.
func (t *deviceToken) set(token []byte) {
	if len(token) == len(t.usual) {
		t.other = nil
		copy(t.usual[:], token)
		return
	}
	if t.other == nil {
		t.other = new([]byte)
	}
	*t.other = append((*t.other)[:0], token...)
}

// bytes gives the token. It is valid until the next set.
func (t *deviceToken) bytes() []byte {
	if t.other != nil {
		return *t.other
	}
	return t.usual[:]
}
