package binproto

// Layout is the order in which a framed notification's items came: four bits
// an item, the first item lowest, 15 for an id above 14. It holds eight items;
// the libraries write three to five. Which order they write tells libraries
// apart.
type Layout uint32

const (
	layoutBits = 4
	layoutMask = 1<<layoutBits - 1
	layoutLen  = 32 / layoutBits
)

// LayoutOf is the layout of the given item ids.
func LayoutOf(ids ...byte) Layout {
	var l Layout
	for _, id := range ids {
		l = l.with(id)
	}
	return l
}

// Len is the number of items in l.
func (l Layout) Len() int {
	n := 0
	for ; l != 0; l >>= layoutBits {
		n++
	}
	return n
}

// AppendItems appends the item ids of l to b.
func (l Layout) AppendItems(b []byte) []byte {
	for ; l != 0; l >>= layoutBits {
		b = append(b, byte(l&layoutMask))
	}
	return b
}

// with is l with one more item; a ninth is forgotten.
func (l Layout) with(id byte) Layout {
	n := l.Len()
	if n == layoutLen {
		return l
	}
	if id == 0 || id > layoutMask {
		id = layoutMask
	}
	return l | Layout(id)<<(n*layoutBits)
}
