package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"apnsbridge/binproto"
)

// ReadFeedback connects to the feedback service at addr ("host:port") and calls
// each for every tuple until the service ends the connection. The tuple's token
// is borrowed until each returns. It returns the number of tuples.
//
// If each fails, or ctx ends, the connection is reset, so that the service knows
// that its list was not read and keeps it.
func ReadFeedback(ctx context.Context, addr string, config *tls.Config, each func(binproto.Tuple) error) (int, error) {
	c, err := Dial(ctx, addr, config)
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { c.Abort() })()
	count, err := readTuples(c, each)
	if err != nil {
		c.Abort()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return count, fmt.Errorf("feedback service %s: %w", addr, err)
	}
	// The service has said its last word: if it is gone already, that was heard.
	c.Close()
	return count, nil
}

// readTuples reads tuples until the end of r.
func readTuples(r io.Reader, each func(binproto.Tuple) error) (count int, err error) {
	const longest = 4 + 2 + 0xffff
	buf := make([]byte, 0, longest)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		used := 0
		for {
			var t binproto.Tuple
			size, short := binproto.ParseTuple(buf[used:], &t)
			if short != nil {
				break
			}
			if err := each(t); err != nil {
				return count, err
			}
			used += size
			count++
		}
		buf = buf[:copy(buf, buf[used:])]
		if errors.Is(err, io.EOF) && len(buf) > 0 {
			return count, fmt.Errorf("ended within a tuple, %d bytes behind %d tuples: %w", len(buf), count, io.ErrUnexpectedEOF)
		}
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return count, err
		}
	}
}
