package lane

// fifo is a queue.
type fifo[T any] struct {
	list []T
	head int
}

func (f *fifo[T]) len() int { return len(f.list) - f.head }

func (f *fifo[T]) push(x T) {
	if f.head > len(f.list)/2 && f.head > 64 {
		n := copy(f.list, f.list[f.head:])
		clear(f.list[n:])
		f.list, f.head = f.list[:n], 0
	}
	f.list = append(f.list, x)
}

func (f *fifo[T]) first() T { return f.list[f.head] }

func (f *fifo[T]) pop() T {
	x := f.list[f.head]
	var none T
	f.list[f.head] = none
	if f.head++; f.head == len(f.list) {
		f.list, f.head = f.list[:0], 0
	}
	return x
}

// all gives what is in the queue, in order. The slice belongs to the queue.
func (f *fifo[T]) all() []T { return f.list[f.head:] }

// set replaces what is in the queue.
func (f *fifo[T]) set(all []T) { f.list, f.head = all, 0 }
