package lane

// deviceToken is the token of a device. One of the usual size is a part of the entry, so
// that what is looked up is in the processor's caches with what is found.
type deviceToken struct {
	other *[]byte // nil: it is usual
	usual [32]byte
}

// set makes it a copy of token, in the memory of the one before where that has room.
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

// bytes gives the token, which is borrowed.
func (t *deviceToken) bytes() []byte {
	if t.other != nil {
		return *t.other
	}
	return t.usual[:]
}
