package h2conn

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// compressor is the encoder of a server that goes on compressing, whatever it was told.
type compressor struct {
	b bytes.Buffer
	e *hpack.Encoder
}

func newCompressor() *compressor {
	c := new(compressor)
	c.e = hpack.NewEncoder(&c.b)
	return c
}

func (c *compressor) block(fields ...string) []byte {
	c.b.Reset()
	for _, f := range fields {
		at := 1 + strings.IndexByte(f[1:], '=')
		c.e.WriteField(hpack.HeaderField{Name: f[:at], Value: f[at+1:]})
	}
	return bytes.Clone(c.b.Bytes())
}

// The responses of a server that compresses are read correctly, even behind others that are
// malformed or no longer waited for.
func TestServerThatCompresses(t *testing.T) {
	onOpenWire(t, Config{}, func(w *wire) {
		c := newCompressor()
		answer := func(id uint32, fields ...string) {
			w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block(fields...), EndHeaders: true,
				EndStream: true})
		}
		var paths []string
		for i := range 8 {
			paths = append(paths, fmt.Sprint("/", i))
		}
		w.submit(0, paths...)
		answer(1, ":status=418", "apns-id=one", "server=h2o")
		w.ended("/0 answered 418 id=one")
		answer(3, ":status=418", "apns-id=one", "server=h2o") // all from the table
		w.ended("/1 answered 418 id=one")
		answer(3, ":status=419", "apns-id=two") // for a request that has ended
		answer(5, ":status=419", "apns-id=two")
		w.ended("/2 answered 419 id=two")
		answer(7, "apns-id=three", ":status=420", "x=y") // malformed, but what is behind the fault still goes into the table
		w.ended("/3 malformed")
		answer(9, ":status=420", "apns-id=three", "x=y")
		w.ended("/4 answered 420 id=three")
		answer(11, ":status=420", "a="+strings.Repeat("a", 17000), "b=c") // over the bound, and empties the table
		w.ended("/5 malformed")
		answer(13, ":status=420", "b=c", "apns-id=four")
		w.ended("/6 answered 420 id=four")
		c.e.SetMaxDynamicTableSize(0) // it obeys at last
		answer(15, ":status=420", "apns-id=four")
		w.ended("/7 answered 420 id=four")
		if table := &w.c.m.fields.table; table.max != 0 || len(table.fields) != 0 || table.size != 0 {
			t.Errorf("the table is %+v", table)
		}
	})
}

// A server that keeps to a table of size 0 leaves no state behind, even if it asks for fields to
// be put into the table.
func TestNoTableIsKept(t *testing.T) {
	onOpenWire(t, Config{}, func(w *wire) {
		w.submit(0, "/1", "/2")
		block := []byte{0x20, 0x88, 0x40, 1, 'a', 1, 'b'} // size 0; 200; a=b into the table
		w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 1, block)
		w.fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 3, block[1:])
		w.ended("/1 answered 200", "/2 answered 200")
		if got := w.c.m.fields.table.fields; len(got) != 0 {
			t.Errorf("the table has kept %v, want nothing", got)
		}
	})
}

// Fields are read as the hpack package reads them, whatever came before.
func TestTableInAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCompressor()
		f := fieldReader{table: table{max: initialTable}}
		size := 0
		name := rapid.SampledFrom([]string{"a", "apns-id", "server", ":status", "content-length",
			"x" + strings.Repeat("y", 100)})
		value := rapid.OneOf(rapid.SampledFrom([]string{"", "200", "v"}), rapid.StringN(0, 40, 200),
			rapid.Just(strings.Repeat("w", 3000)))
		t.Repeat(map[string]func(*rapid.T){
			"resize": func(t *rapid.T) {
				c.e.SetMaxDynamicTableSize(uint32(rapid.IntRange(0, initialTable).Draw(t, "size")))
			},
			"block": func(t *rapid.T) {
				var want, got []string
				for range rapid.IntRange(0, 6).Draw(t, "fields") {
					want = append(want, name.Draw(t, "name")+"="+value.Draw(t, "value"))
				}
				f.reset(c.block(want...))
				for {
					more, err := f.next()
					if err != nil {
						t.Fatal(err)
					}
					if !more {
						break
					}
					text, err := f.decoded()
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, string(f.name)+"="+string(text))
				}
				if !slices.Equal(got, want) {
					t.Fatalf("got %q, want %q", got, want)
				}
			},
			"": func(t *rapid.T) {
				size = 0
				for _, e := range f.table.fields {
					size += len(e.name) + len(e.value) + fieldOverhead
				}
				if size != f.table.size || size > f.table.max || f.table.max > initialTable {
					t.Fatalf("%d bytes, counted as %d, of %d", size, f.table.size, f.table.max)
				}
			},
		})
	})
}

// Fields may be as long as was announced, however they are encoded.
func TestFieldsUpToTheBound(t *testing.T) {
	const bound = 16 << 10
	size := func(value int) int { return len(":status200") + fieldOverhead + len("a") + value + fieldOverhead }
	for _, letter := range []string{"v", "0", "~", "\\"} {
		for over := range 2 {
			t.Run(fmt.Sprint(letter, over), func(t *testing.T) {
				onOpenWire(t, Config{}, func(w *wire) {
					w.submit(0, "/1")
					value := bound - size(0) + over
					coded := newCompressor().block(":status=200", "a="+strings.Repeat(letter, value))
					const frame = 16 << 10
					first := coded[:min(len(coded), frame)]
					rest := coded[len(first):]
					w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndHeaders: len(rest) == 0,
						EndStream: true})
					if len(rest) > 0 {
						w.fr.WriteContinuation(1, true, rest)
					}
					if over == 0 {
						w.ended("/1 answered 200")
					} else {
						w.ended("/1 malformed")
					}
				})
			})
		}
	}
}
