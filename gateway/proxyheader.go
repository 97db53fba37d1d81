package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

var (
	errNoProxyHeader  = errors.New("gateway: the connection does not begin with a PROXY header")
	errBadProxyHeader = errors.New("gateway: the PROXY header is not valid")
)

const (
	proxyLine      = "PROXY "
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyLineMax   = 107 // bytes with CRLF
)

// readProxyHeader reads the header that a program in front puts before a connection, and
// not a byte more. from is the address that the program had the connection from. It is not
// valid if the program speaks for itself or does not know the address; the connection's own
// address then counts. Of version 2, up to limit bytes are read, and what follows the
// addresses is skipped.
//
// https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
func readProxyHeader(r io.Reader, limit int) (from netip.AddrPort, err error) {
	var head [proxyLineMax]byte
	begin := head[:len(proxySignature)] // every line is longer than this
	switch _, err := io.ReadFull(r, begin); {
	case err == io.EOF:
		return from, err // nothing was said
	case err != nil:
		return from, cutHeader(err)
	}
	switch {
	case string(begin) == proxySignature:
		return readProxyBlock(r, limit)
	case bytes.HasPrefix(begin, []byte(proxyLine)):
		line, err := readProxyLine(r, head[:], len(begin))
		if err != nil {
			return from, err
		}
		return parseProxyLine(line)
	}
	return from, errNoProxyHeader
}

// readProxyLine reads the rest of a header of version 1 whose first have bytes are in buf.
// It reads no more bytes at a time than are sure to belong to the line, and returns the
// line without its end.
func readProxyLine(r io.Reader, buf []byte, have int) (string, error) {
	for {
		line := buf[:have]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			if i < have-1 || line[i-1] != '\r' {
				return "", fmt.Errorf("%w: a line that does not end with CRLF", errBadProxyHeader)
			}
			return string(line[:i-1]), nil
		}
		least := leastOfProxyLine(line)
		if have+least > len(buf) {
			return "", fmt.Errorf("%w: a line of more than %d bytes", errBadProxyHeader, len(buf))
		}
		n, err := r.Read(buf[have : have+least])
		if n == 0 && err != nil {
			return "", cutHeader(err)
		}
		have += n
	}
}

// leastOfProxyLine is how many bytes a line that has not ended must still have at least:
// CRLF and, before that, each missing one of its five spaces with a byte after it.
func leastOfProxyLine(line []byte) int {
	const known, spaces = proxyLine + "TCP", 5
	switch {
	case line[len(line)-1] == '\r':
		return 1
	case bytes.HasPrefix(line, []byte(known)):
		return 2 + 2*max(0, spaces-bytes.Count(line, []byte(" ")))
	}
	return 2
}

func parseProxyLine(line string) (from netip.AddrPort, err error) {
	fields := strings.Split(line, " ")
	if fields[1] == "UNKNOWN" {
		return from, nil
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return from, fmt.Errorf("%w: %q is neither TCP4 nor TCP6 with two addresses and two ports", errBadProxyHeader, line)
	}
	var ends [2]netip.AddrPort // source and destination
	for i := range ends {
		address, err := netip.ParseAddr(fields[2+i])
		if err != nil || address.Zone() != "" || address.Is4() != (fields[1] == "TCP4") {
			return from, fmt.Errorf("%w: %q is no address of %s", errBadProxyHeader, fields[2+i], fields[1])
		}
		port, err := strconv.ParseUint(fields[4+i], 10, 16)
		if err != nil || fields[4+i] != strconv.FormatUint(port, 10) {
			return from, fmt.Errorf("%w: %q is no port", errBadProxyHeader, fields[4+i])
		}
		ends[i] = netip.AddrPortFrom(address.Unmap(), uint16(port))
	}
	return ends[0], nil
}

// readProxyBlock reads a header of version 2 after its signature: a byte for version and
// command, a byte for family and protocol, the length of the rest, then both addresses,
// both ports, and what we skip.
func readProxyBlock(r io.Reader, limit int) (from netip.AddrPort, err error) {
	const (
		fixed          = len(proxySignature) + 4
		version        = 2
		local, proxied = 0, 1 // commands
		lastFamily     = 3    // Unix
		lastProtocol   = 2    // datagrams
		tcp4, tcp6     = 0x11, 0x21
	)
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return from, cutHeader(err)
	}
	command, way, rest := head[0]&15, head[1], int(binary.BigEndian.Uint16(head[2:]))
	switch {
	case head[0]>>4 != version, command > proxied:
		return from, fmt.Errorf("%w: version %d with command %d", errBadProxyHeader, head[0]>>4, command)
	case command == proxied && (way>>4 > lastFamily || way&15 > lastProtocol):
		return from, fmt.Errorf("%w: family and protocol %#02x", errBadProxyHeader, way)
	case fixed+rest > limit:
		return from, fmt.Errorf("%w: its %d bytes are more than unparsed_bytes", errBadProxyHeader, fixed+rest)
	}
	size := 0 // of an address
	switch {
	case command == local:
	case way == tcp4:
		size = 4
	case way == tcp6:
		size = 16
	}
	if size > 0 {
		var addresses [2*16 + 2*2]byte
		b := addresses[:2*size+2*2]
		if len(b) > rest {
			return from, fmt.Errorf("%w: %d bytes are too few for its addresses", errBadProxyHeader, rest)
		}
		if _, err := io.ReadFull(r, b); err != nil {
			return from, cutHeader(err)
		}
		rest -= len(b)
		address, _ := netip.AddrFromSlice(b[:size])
		from = netip.AddrPortFrom(address.Unmap(), binary.BigEndian.Uint16(b[2*size:]))
	}
	if _, err := io.CopyN(io.Discard, r, int64(rest)); err != nil {
		return netip.AddrPort{}, cutHeader(err)
	}
	return from, nil
}

// cutHeader says why a header was not complete.
func cutHeader(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut short", errBadProxyHeader)
	}
	return err
}
